import type { DeviceStatus } from '../device-status.ts'
import { isAlarm } from '../is-alarm.ts'
import { defineCommand } from './define-command.ts'
import { printable, toIsoTime, toJson } from './print.ts'
import { openAttestingDeviceOf, stateFlag } from './settings.ts'
import { printToReader } from './stdout.ts'

export const keepFreshCommand = defineCommand({
  name: 'keep-fresh',
  summary: 'Exchanges keys and attests whenever that is due, until SIGINT or SIGTERM, which is no error.',
  flags: stateFlag,
  examples: ['qflare keep-fresh --state /var/lib/edge/device.json'],
  notes:
    'For a service of the machine, beside programs that use the same state. One line for each new session, attestation and failure; with --json each is an object. What fails is tried again, ever less often.',
  async run({ values }) {
    const stop = new AbortController()
    const onSignal = () => stop.abort()
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onSignal)
    const say = async (line: Record<string, string | number | undefined>, text: string) => {
      const isRead = await printToReader(
        values.json === true ? toJson({ at: Date.now(), ...line }) : `${toIsoTime(Date.now())}  ${printable(text)}`,
      )
      if (!isRead) stop.abort()
    }
    try {
      const device = await openAttestingDeviceOf(values)
      await device.keepFresh({
        signal: stop.signal,
        onExchange: ({ session }) =>
          say({ event: 'session', sessionId: session?.sessionId }, `session ${session?.sessionId ?? ''}`),
        onAttestation: ({ attestation }: DeviceStatus) =>
          say(
            { event: 'attestation', tier: attestation?.tier, policyId: attestation?.policyId },
            `attested: ${attestation?.tier ?? ''}, by policy ${attestation?.policyId ?? ''}`,
          ),
        onError: (error, retryInMs) => {
          const { code, message } = error
          const kind = isAlarm(error) ? 'ALARM' : 'failed'
          return say(
            { event: 'error', code, message, retryInMs },
            `${kind}: ${message} (${code}) Again in ${Math.ceil(retryInMs / 1000)} s.`,
          )
        },
      })
    } finally {
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, onSignal)
    }
    return undefined
  },
})
