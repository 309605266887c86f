import { confirm, yesFlag } from './confirm.ts'
import { defineCommand } from './define-command.ts'
import { parseIdArgument } from './parse-values.ts'
import { printResult } from './print.ts'
import { openInputsOf, operatorNotes } from './settings.ts'

export const anchorsRemove = defineCommand({
  name: 'anchors remove',
  positionals: ['ID'],
  summary: 'Trusts a certificate or key no more.',
  flags: yesFlag,
  examples: ['qflare anchors remove 0199b0a4-7e1c-7000-8000-0000000000ac'],
  notes: `A device that leads to it alone is refused at its next attestation, and quarantined. What was decided before stays decided. ${operatorNotes}`,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, 'a trust anchor, as qflare anchors list shows it')
    const inputs = await openInputsOf(values)
    await confirm(values.yes, async () => {
      const { kind, name } = await inputs.getTrustAnchor(id)
      return `Trust the ${kind} ${name} no more? Devices that lead to it alone are quarantined at their next attestation.`
    })
    await inputs.removeTrustAnchor(id)
    await printResult(values.json, { id }, `${id} is not trusted.`)
    return undefined
  },
})
