import { defineCommand } from './define-command.ts'
import { formatTime, printResult, toList } from './print.ts'
import { withProgress } from './progress.ts'
import { openDeviceOf, stateFlag } from './settings.ts'

export const exchange = defineCommand({
  name: 'exchange',
  summary: 'Runs a key exchange: the new session replaces the one before.',
  flags: stateFlag,
  examples: ['qflare exchange', 'qflare exchange --state /var/lib/edge/device.json --json'],
  async run({ values }) {
    const device = await openDeviceOf(values)
    const { session, deviceId } = await withProgress(() => device.exchange())
    if (session === undefined) throw new Error('The session ended before it could be used.')
    const now = Date.now() + session.clockOffsetMs
    const text = toList([
      ['session', session.sessionId],
      ['epoch', session.epoch],
      ['expires', formatTime(session.expiresAt, now)],
      ['exchange again', formatTime(session.nextExchangeAt, now)],
      ...clockRow(session.clockOffsetMs),
    ])
    await printResult(values.json, { deviceId, ...session }, text)
    return undefined
  },
})

/** A row only when the clock is wrong. */
export function clockRow(clockOffsetMs: number): [string, string][] {
  if (clockOffsetMs === 0) return []
  const seconds = Math.round(Math.abs(clockOffsetMs) / 1000)
  const side = clockOffsetMs > 0 ? 'behind' : 'ahead of'
  return [['clock', `about ${seconds} s ${side} the server's, corrected for this session: please set it`]]
}
