import type { Device } from '../operator.ts'
import { defineCommand } from './define-command.ts'
import { parseIdArgument } from './parse-values.ts'
import { formatTime, printResult, toList } from './print.ts'
import { openOperatorOf, operatorNotes } from './settings.ts'

/** What ID is, for the error of a wrong one. */
export const deviceIdName = 'a device, as qflare device list shows it'

export const deviceShow = defineCommand({
  name: 'device show',
  positionals: ['ID'],
  summary: 'Shows all that the service knows of a device or coordinator.',
  flags: {},
  examples: ['qflare device show 0199b0a4-7e1c-7000-8000-000000000001'],
  notes: `With --json: the device as docs/api.md describes it.\n\n${operatorNotes}`,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, deviceIdName)
    const operator = await openOperatorOf(values)
    const device = await operator.getDevice(id)
    await printResult(values.json, device, deviceText(device))
    return undefined
  },
})

export function deviceText(device: Device): string {
  const now = Date.now()
  const { type, capabilities, metadata, identityKey, lastSeenAt, activeSessionId } = device
  return toList([
    ['device', device.id],
    ['name', device.name],
    ['kind', device.kind],
    ['status', device.status],
    ['type', type ?? 'none'],
    ['capabilities', capabilities.join(', ') || 'none'],
    ...Object.entries(metadata).map(([name, value]): [string, string] => ['metadata', `${name}=${toText(value)}`]),
    ['SPIFFE ID', device.spiffeId],
    ['identity key', `${identityKey.alg} ${identityKey.kid}`],
    ...keyAgeRow(identityKey, now),
    ['session', activeSessionId ?? 'none'],
    ...restrictionRows(device, now),
    ['enrolled', formatTime(device.createdAt, now)],
    ['last seen', lastSeenAt === null ? 'never' : formatTime(lastSeenAt, now)],
  ])
}

function keyAgeRow({ since, rotationDueSince }: Device['identityKey'], now: number): [string, string][] {
  if (since === undefined) return []
  return [['key since', `${formatTime(since, now)}${rotationDueSince === null ? '' : ': its rotation is due'}`]]
}

function restrictionRows({ slowedUntil, attestationRequiredSince: since }: Device, now: number): [string, string][] {
  const isSlowed = slowedUntil !== null && slowedUntil > now
  return [
    ...(isSlowed ? [['slowed', `until ${formatTime(slowedUntil, now)}`] as [string, string]] : []),
    ...(since === null ? [] : [['has to attest', `since ${formatTime(since, now)}`] as [string, string]]),
  ]
}

function toText(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
