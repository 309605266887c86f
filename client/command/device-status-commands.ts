import type { QflareOperator } from '../operator.ts'
import { confirm, yesFlag } from './confirm.ts'
import { type Command, defineCommand } from './define-command.ts'
import { deviceIdName } from './device-show.ts'
import { parseIdArgument } from './parse-values.ts'
import { printable, printResult } from './print.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

const example = '0199b0a4-7e1c-7000-8000-000000000001'

export const deviceSuspend = changeStatusCommand(
  'suspend',
  'Suspends a device or coordinator and ends its sessions, until it is resumed. Repeating it changes nothing.',
  (name) => `Suspend ${name} and end its sessions?`,
)

export const deviceRevoke = changeStatusCommand(
  'revoke',
  'Revokes a device or coordinator and ends its sessions, for good. Repeating it changes nothing.',
  (name) => `Revoke ${name} for good?`,
)

function changeStatusCommand(
  action: 'suspend' | 'revoke',
  summary: string,
  question: (name: string) => string,
): Command {
  return defineCommand({
    name: `device ${action}`,
    positionals: ['ID'],
    summary,
    flags: yesFlag,
    examples: [`qflare device ${action} ${example}`],
    notes: `With --json: the device as docs/api.md describes it.\n\n${operatorNotes}`,
    async run({ values, positionals: [typed] }) {
      const id = parseIdArgument(typed, deviceIdName)
      const operator = await openOperatorOf(values)
      await confirm(values.yes, async () => question(`${(await operator.getDevice(id)).name} (${id})`))
      const device = await (action === 'suspend' ? operator.suspendDevice(id) : operator.revokeDevice(id))
      await printResult(values.json, device, `${printable(device.name)} (${device.id}) is ${printable(device.status)}.`)
      return undefined
    },
  })
}

export const deviceResume = letBackCommand(
  'resume',
  'Lets a suspended device exchange keys again; its old sessions stay ended. Repeating it changes nothing.',
)

export const deviceClearQuarantine = letBackCommand(
  'clear-quarantine',
  'Lets a quarantined device exchange keys and attest again; its old sessions stay ended. Repeating it changes nothing.',
)

export const deviceLiftRestrictions = letBackCommand(
  'lift-restrictions',
  'Ends what the service holds a device to for an incident: it may ask as often as others, and need not attest first. Repeating it changes nothing.',
)

/** Nothing is lost by it, so that nobody is asked. */
function letBackCommand(action: keyof typeof letBack, summary: string): Command {
  return defineCommand({
    name: `device ${action}`,
    positionals: ['ID'],
    summary,
    flags: {},
    examples: [`qflare device ${action} ${example}`],
    notes: `With --json: the device as docs/api.md describes it.\n\n${operatorNotes}`,
    async run({ values, positionals: [typed] }) {
      const id = parseIdArgument(typed, deviceIdName)
      const operator = await openOperatorOf(values)
      const device = await letBack[action](operator, id)
      await printResult(values.json, device, `${printable(device.name)} (${device.id}) is ${printable(device.status)}.`)
      return undefined
    },
  })
}

const letBack = {
  resume: (operator: QflareOperator, id: string) => operator.resumeDevice(id),
  'clear-quarantine': (operator: QflareOperator, id: string) => operator.clearQuarantine(id),
  'lift-restrictions': (operator: QflareOperator, id: string) => operator.liftRestrictions(id),
}
