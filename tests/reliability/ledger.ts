import type { LoggedEvent } from './log-checker.ts'

/** Changes that the load asks for, with the type of the event that each one has to leave. */
export const eventOf = {
  token: 'enrollment_token.created',
  revocation: 'enrollment_token.revoked',
  change: 'device.changed',
  exchange: 'session.opened',
  confirmation: 'session.established',
} as const
export type ChangeKind = keyof typeof eventOf

/** What else a request of this kind may do, to older sessions of its device. */
const alsoBy: Partial<Record<ChangeKind, readonly string[]>> = {
  exchange: ['session.timed_out'],
  confirmation: ['session.superseded', 'session.timed_out'],
}

export interface Attempt {
  /** UUID that the request carried, and so its events do. */
  requestId: string
  kind: ChangeKind
  /** Events that it leaves, if it leaves any. */
  count: number
  /** Undefined: nobody knows what became of it. */
  outcome: 'acknowledged' | 'refused' | undefined
  /** What the answer, or the request itself, says that was changed: of each event the value of `subjectOf`. */
  subjects: readonly string[] | undefined
}

/** What one event of the load is about: an id, with the new name where that is what was changed. */
function subjectOf({ type, subject, data }: LoggedEvent): string {
  if (type === eventOf.change) return `${String(subject['deviceId'])} ${String(data['name'])}`
  return String(subject['enrollmentTokenId'] ?? subject['sessionId'])
}

export interface LedgerCounts {
  acknowledged: number
  refused: number
  /** Of those that nobody knew of: how many had happened. */
  unknown: number
  unknownDone: number
}

/**
 * What was asked for and what was answered, against what the log says. `settle` when nothing is under way: it throws unless every
 * acknowledged change has its events once, every refused one has none, and every other one has all of them or none.
 */
export interface Ledger {
  add(attempt: Attempt): void
  /** Events of requests that the ledger does not know, from before the load. */
  ignore(events: readonly LoggedEvent[]): void
  settle(events: readonly LoggedEvent[]): void
  counts(): LedgerCounts
}

/** Keys that are made and destroyed in their time, sessions that end in theirs, what was refused in a minute, and what the monitor makes of all that. */
function isOfSchedule({ type, actor }: LoggedEvent): boolean {
  return (
    type.startsWith('temporal_key.') ||
    type === 'sessions.pruned' ||
    (/^session\.|\.refused$|^incident\./.test(type) && actor.type === 'service')
  )
}

export function createLedger(): Ledger {
  const settled = new Set<string>()
  let open = new Map<string, Attempt>()
  const counts: LedgerCounts = { acknowledged: 0, refused: 0, unknown: 0, unknownDone: 0 }

  function settleOne(attempt: Attempt, events: readonly LoggedEvent[]): void {
    const { requestId, kind, count, outcome } = attempt
    const own = events.filter(({ type }) => type === eventOf[kind])
    const other = events.filter((event) => !own.includes(event) && !alsoBy[kind]?.includes(event.type))
    const what = `${kind} ${requestId} (${outcome ?? 'unknown'})`
    if (other.length > 0) throw new Error(`${what} left ${other.map(({ type }) => type).join(', ')}`)
    const isDone = own.length === count
    const isUndone = events.length === 0
    if (outcome === 'acknowledged' ? !isDone : outcome === 'refused' ? !isUndone : !isDone && !isUndone) {
      throw new Error(`${what} left ${own.length} of its ${count} events, and ${events.length - own.length} others`)
    }
    if (attempt.subjects !== undefined && isDone && count > 0) {
      const said = [...attempt.subjects].sort().join()
      const logged = own.map(subjectOf).sort().join()
      if (said !== logged) throw new Error(`${what} was of ${said}, its events are of ${logged}`)
    }
    settled.add(requestId)
    counts[outcome ?? 'unknown'] += 1
    if (outcome === undefined && isDone) counts.unknownDone += 1
  }

  return {
    add: (attempt) => open.set(attempt.requestId, attempt),
    ignore(events) {
      for (const { requestId } of events) settled.add(requestId)
    },
    settle(events) {
      const byRequest = Map.groupBy(events, ({ requestId }) => requestId)
      for (const [requestId, [event]] of byRequest) {
        if (event === undefined || open.has(requestId) || isOfSchedule(event)) continue
        const why = settled.has(requestId) ? 'which came before' : 'which nobody made'
        throw new Error(`entry ${event.index} is ${event.type} of the request ${requestId}, ${why}`)
      }
      for (const attempt of open.values()) settleOne(attempt, byRequest.get(attempt.requestId) ?? [])
      open = new Map()
    },
    counts: () => counts,
  }
}
