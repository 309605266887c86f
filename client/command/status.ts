import type { DeviceStatus } from '../device-status.ts'
import { QflareError } from '../errors.ts'
import { createHttpClient } from '../http.ts'
import { readServerHealth, type ServerHealth } from '../server-health.ts'
import { attestationRows } from './attest.ts'
import { defineCommand } from './define-command.ts'
import { clockRow } from './exchange.ts'
import { type ExitCode, exitCodes } from './exit-codes.ts'
import { formatTime, printResult, toList } from './print.ts'
import { openDeviceOf, serverOptions, stateFlag, statePath } from './settings.ts'

export const status = defineCommand({
  name: 'status',
  summary: 'Shows the device, its session and whether the server is ready. Changes nothing.',
  flags: stateFlag,
  examples: ['qflare status', 'qflare status --json'],
  exitNotes: 'Here 4 without a device, otherwise 3 when the server is away, 1 when it is not ready.',
  async run({ values }) {
    const device = await readDevice(values)
    const server = serverOptions(values)
    const url = values.url === undefined && device !== undefined ? device.serverUrl : server.url
    const health = await readServerHealth(createHttpClient({ ...server, url }))
    const { error, ...shown } = health
    const json = {
      device: device ?? null,
      server: { url, ...shown, ready: shown.ready ?? null, error: error?.code ?? null },
    }
    const rows = [...deviceRows(device, statePath(values)), ...serverRows(url, health)]
    await printResult(values.json, json, toList(rows))
    return exitCodeOf(device, health)
  },
})

async function readDevice(flags: Parameters<typeof openDeviceOf>[0]): Promise<DeviceStatus | undefined> {
  try {
    return await (await openDeviceOf(flags)).status()
  } catch (error) {
    if (error instanceof QflareError && error.code === 'not_enrolled') return undefined
    throw error
  }
}

function deviceRows(device: DeviceStatus | undefined, path: string): [string, string | number][] {
  if (device === undefined) return [['device', `none at ${path}: qflare enroll makes one`]]
  const { session } = device
  const rows: [string, string | number][] = [
    ['device', device.deviceId],
    ['name', device.name],
    ['kind', device.kind],
    ['SPIFFE ID', device.spiffeId],
    ['identity key', `${device.identityKey.alg} ${device.identityKey.kid}`],
    ['trust', `${device.trust.trustDomain}, bundle ${device.trust.sequence}`],
  ]
  if (session === undefined) {
    return [...rows, ...attestationRows(device, Date.now()), ['session', 'none: qflare exchange makes one']]
  }
  const now = Date.now() + session.clockOffsetMs
  return [
    ...rows,
    ...attestationRows(device, now),
    ['session', session.sessionId],
    ['epoch', session.epoch],
    ['expires', formatTime(session.expiresAt, now)],
    ['exchange again', formatTime(session.nextExchangeAt, now)],
    ...clockRow(session.clockOffsetMs),
  ]
}

function serverRows(url: string, health: ServerHealth): [string, string][] {
  const { reachable, ready, failed, error } = health
  if (!reachable) return [['server', error?.message ?? `Cannot reach ${url}.`]]
  if (ready === undefined) return [['server', `${url}: reachable; it does not say here whether it is ready`]]
  const parts = failed.map(({ part, detail }): [string, string] => ['', `${part}: ${detail}`])
  return [['server', `${url}: ${ready ? 'ready' : 'not ready'}`], ...parts]
}

function exitCodeOf(device: DeviceStatus | undefined, { reachable, ready }: ServerHealth): ExitCode {
  if (device === undefined) return exitCodes.localState
  if (!reachable) return exitCodes.unreachable
  return ready === false ? exitCodes.refused : exitCodes.ok
}
