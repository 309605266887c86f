import { confirm, yesFlag } from './confirm.ts'
import { defineCommand } from './define-command.ts'
import { parseIdArgument } from './parse-values.ts'
import { printResult } from './print.ts'
import { openInputsOf, operatorNotes } from './settings.ts'

export const collateralRemove = defineCommand({
  name: 'collateral remove',
  positionals: ['ID'],
  summary: 'Removes a revocation list or a statement of a vendor.',
  flags: yesFlag,
  examples: ['qflare collateral remove 0199b0a4-7e1c-7000-8000-0000000000cc'],
  notes: `Evidence is appraised without it from then on, as its policy says of what lacks. What was decided before stays decided. ${operatorNotes}`,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, 'collateral, as qflare collateral list shows it')
    const inputs = await openInputsOf(values)
    await confirm(values.yes, async () => {
      const { kind, name } = await inputs.getCollateral(id)
      return `Remove the ${kind} ${name}? Evidence that is held against it is appraised without it.`
    })
    await inputs.removeCollateral(id)
    await printResult(values.json, { id }, `${id} is removed.`)
    return undefined
  },
})
