import type { BarredDevice, RevocationChange } from '../follow-revocations.ts'
import { defineCommand } from './define-command.ts'
import { formatTime, printable, toJson } from './print.ts'
import { federationNotes, openFederationsOf, stateFlag } from './settings.ts'
import { printToReader } from './stdout.ts'

export const federationWatch = defineCommand({
  name: 'federation watch',
  summary:
    'Prints the devices that may not take part (revoked, suspended, quarantined), then every change within seconds.',
  flags: stateFlag,
  examples: ['qflare federation watch', 'qflare federation watch --json'],
  notes: `Until Ctrl-C, which is no error. A coordinator hears of the members of its federations, an operator of all devices. A server that is away is asked again until it answers. With --json: {"type": "snapshot", "devices": […]} and {"type": "change", "deviceId", "status", "changedAt"}, one on each line.\n\n${federationNotes}`,
  async run({ values }) {
    const stop = new AbortController()
    const onInterrupt = () => stop.abort()
    process.once('SIGINT', onInterrupt)
    const print = async (lines: readonly string[]) => {
      if (lines.length > 0 && !(await printToReader(lines.join('\n')))) stop.abort()
    }
    try {
      const federations = await openFederationsOf(values)
      let isAway = false
      await federations.followRevocations({
        signal: stop.signal,
        onSnapshot: (devices) => {
          isAway = false
          return print(values.json === true ? [toJson({ type: 'snapshot', devices })] : devices.map(toLine))
        },
        onChange: (change) => {
          isAway = false
          return print([values.json === true ? toJson({ type: 'change', ...change }) : toLine(change)])
        },
        onError: ({ message }) => {
          if (!isAway) console.error(`qflare: ${printable(message)} Trying again.`)
          isAway = true
        },
      })
    } finally {
      process.off('SIGINT', onInterrupt)
    }
    return undefined
  },
})

/** A device, what it is, and since when, where that was heard. */
function toLine(device: BarredDevice | RevocationChange): string {
  const since = 'changedAt' in device ? formatTime(device.changedAt, Date.now()) : ''
  return `${device.deviceId}  ${device.status.padEnd(11)}  ${since}`.trimEnd()
}
