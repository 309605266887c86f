import { confirm, yesFlag } from './confirm.ts'
import { defineCommand } from './define-command.ts'
import { parseIdArgument } from './parse-values.ts'
import { printResult } from './print.ts'
import { openInputsOf, operatorNotes } from './settings.ts'

export const referenceRemove = defineCommand({
  name: 'reference remove',
  positionals: ['ID'],
  summary: 'Compares evidence without a value from now on.',
  flags: yesFlag,
  examples: ['qflare reference remove 0199b0a4-7e1c-7000-8000-0000000000f0'],
  notes: `A device whose state nothing else allows is found so at its next attestation. What was decided before stays decided. ${operatorNotes}`,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, 'a reference value, as qflare reference list shows it')
    const inputs = await openInputsOf(values)
    await confirm(values.yes, async () => {
      const { name } = await inputs.getReferenceValue(id)
      return `Compare evidence without this value of ${name}?`
    })
    await inputs.removeReferenceValue(id)
    await printResult(values.json, { id }, `${id} is removed.`)
    return undefined
  },
})
