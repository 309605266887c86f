import { malformedEvidence, refusedEvidence } from '../../evidence-format.ts'
import { digest, type HashName, hashLengths } from './algorithms.ts'
import type { PcrValues } from './pcrs.ts'

/** Real logs have a hundred to three hundred. */
export const MAX_EVENTS = 1024
export const MAX_EVENT_LOG_BYTES = 256 * 1024
export const PCR_COUNT = 24

export interface LoggedEvent {
  pcr: number
  /** What was extended; undefined where the log has nothing of this bank. */
  digestOf(bank: HashName): Uint8Array | undefined
}

/** What a device says that it extended its PCRs with. Believed only as far as it gives the quoted values. */
export interface EventLog {
  startupLocality: number
  events: readonly LoggedEvent[]
}

/** A log as programs write it by themselves: each PCR was extended by the hash of the data of its events. */
export function toEventLog(events: readonly { pcr: number; eventData: Uint8Array }[]): EventLog {
  return {
    startupLocality: 0,
    events: events.map(({ pcr, eventData }) => ({ pcr, digestOf: (bank) => digest(bank, eventData) })),
  }
}

export function requirePcr(pcr: number): number {
  if (pcr >= PCR_COUNT) throw malformedEvidence('The event log extends a PCR that there is not.')
  return pcr
}

/**
 * The quoted PCRs that the log explains: in which its events end, or that it does not name and that were never extended. Throws
 * `evidence_refused` when it names a quoted PCR and does not end in its value.
 */
export function replayEventLog(log: EventLog, pcrs: PcrValues): Partial<Record<HashName, number[]>> {
  const replayed: Partial<Record<HashName, number[]>> = {}
  for (const [bank, values] of pcrs) {
    const ends = replayBank(log, bank)
    if (ends === undefined) continue
    const initial = Buffer.alloc(hashLengths[bank])
    replayed[bank] = [...values].flatMap(([pcr, value]) => {
      const end = ends.get(pcr)
      if (end !== undefined && !end.equals(value)) {
        throw refusedEvidence(
          'tpm2.event_log',
          `The event log does not end in the quoted value of PCR ${pcr} (${bank}).`,
        )
      }
      return (end ?? initial).equals(value) ? [pcr] : []
    })
  }
  return replayed
}

/** By PCR; undefined where the log has not every event in this bank. */
function replayBank({ startupLocality, events }: EventLog, bank: HashName): Map<number, Buffer> | undefined {
  const ends = new Map<number, Buffer>()
  const initial = (pcr: number) => {
    const value = Buffer.alloc(hashLengths[bank])
    if (pcr === 0) value[value.length - 1] = startupLocality
    return value
  }
  for (const { pcr, digestOf } of events) {
    const extendedBy = digestOf(bank)
    if (extendedBy === undefined) return undefined
    ends.set(pcr, digest(bank, ends.get(pcr) ?? initial(pcr), extendedBy))
  }
  return ends
}
