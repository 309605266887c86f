import { isUuid } from '../../protocol/encoding.ts'
import { defineCommand } from './define-command.ts'
import { usageError } from './exit-codes.ts'
import { printable, printResult } from './print.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const deviceRevoke = defineCommand({
  usage: 'device revoke ID',
  summary: 'Revokes a device or coordinator and ends its sessions, for good. Repeating it changes nothing.',
  notes: operatorNotes,
  options: {},
  positionals: 1,
  async run({ values, positionals: [id = ''] }) {
    if (!isUuid(id)) throw usageError('ID is the id of a device, as qflare device list shows it.')
    const operator = await openOperatorOf(values)
    const device = await operator.revokeDevice(id)
    printResult(values.json, device, `${printable(device.name)} (${device.id}) is ${printable(device.status)}.`)
    return undefined
  },
})
