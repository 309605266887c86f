import { allPages, type Device } from '../operator.ts'
import { defineCommand } from './define-command.ts'
import { formatTime, printResult, toTable } from './print.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

export const deviceList = defineCommand({
  usage: 'device list [--status STATUS]',
  summary: 'Lists the devices and coordinators of the organization.',
  flags: '  --status STATUS   only those of this status: ACTIVE, REVOKED, …',
  notes: operatorNotes,
  options: { status: { type: 'string' } },
  async run({ values }) {
    const operator = await openOperatorOf(values)
    const { status } = values
    const devices: Device[] = []
    for await (const device of allPages((page) => operator.listDevices({ ...page, status }))) devices.push(device)
    const now = Date.now()
    const rows = devices.map((device) => [
      device.id,
      device.name,
      device.kind,
      device.status,
      device.identityKey.alg,
      device.lastSeenAt === null ? 'never' : formatTime(device.lastSeenAt, now),
    ])
    const table = toTable(['ID', 'NAME', 'KIND', 'STATUS', 'KEY', 'LAST SEEN'], rows)
    printResult(values.json, { items: devices }, devices.length === 0 ? 'There is no such device.' : table)
    return undefined
  },
})
