// Running it twice is harmless: a session ends by one conditional update behind the lock of its principal, with its event; what has
// ended is not found again. Halfway, what was committed is over, and the rest is found by the next run.

import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  countSessionsOfEpochs,
  endSessionRows,
  listEndedSessions,
  listOpenBuckets,
  lockOpenSessions,
} from '../../database/repositories/session-ends.ts'
import { PENDING_MS, SUPERSEDED_MS, sessionStateAt } from '../../protocol/exchange/session-states.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import { type EndByTime, endsByTime, isEndByTime } from '../../runtime/ends-by-time.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'

export interface EndSessionsParts {
  database: Database
  writeEvent: WriteEvent
}

export type EndedSessions = Record<EndByTime, number>

/** Ids that are looked up at once, and sessions of one transaction: who exchanges meanwhile waits for one of these at most. */
const PAGE = 20_000
const BATCH = 250

/**
 * Writes down what time has ended, bucket by bucket: PENDING → TIMED_OUT, ACTIVE → EXPIRED, SUPERSEDED → CLOSED or EXPIRED. Whose
 * principal is in the middle of an exchange is left to the next run. Then counts who holds a chain of which epoch.
 * `progress` is told how many of the buckets are done, after every transaction: what it throws ends the run there.
 */
export async function endSessions(
  parts: EndSessionsParts,
  now: number,
  progress: (done: number, total: number) => Promise<void> = async () => {},
): Promise<EndedSessions> {
  const ended: EndedSessions = { TIMED_OUT: 0, EXPIRED: 0, CLOSED: 0 }
  const buckets = await parts.database.withoutOrganization(listOpenBuckets)
  for (const [index, bucket] of buckets.entries()) {
    const step = () => progress(index, buckets.length)
    while (await endPage(parts, bucket, now, ended, step));
    await progress(index + 1, buckets.length)
  }
  await parts.database.withoutOrganization((tx) => countSessionsOfEpochs(tx, now))
  return ended
}

export async function endSessionsInTime(
  parts: EndSessionsParts & { logger: Logger },
  now: number,
  progress: (done: number, total: number) => Promise<void>,
): Promise<void> {
  const ended = await endSessions(parts, now, progress)
  if (sumOf(ended) > 0) parts.logger.info('sessions that time has ended', { count: sumOf(ended) })
}

/** True when there may be more. */
async function endPage(
  parts: EndSessionsParts,
  bucket: number,
  now: number,
  ended: EndedSessions,
  step: () => Promise<void>,
): Promise<boolean> {
  const at = { madeAt: now - PENDING_MS, expiredAt: now, supersededAt: now - SUPERSEDED_MS }
  const found = await parts.database.withoutOrganization((tx) => listEndedSessions(tx, bucket, at, PAGE))
  const before = sumOf(ended)
  for (const [organizationId, sessions] of Map.groupBy(found, (session) => session.organizationId)) {
    const ids = sessions.map(({ id }) => id)
    for (let from = 0; from < ids.length; from += BATCH) {
      for (const end of await endBatch(parts, organizationId, ids.slice(from, from + BATCH), now)) ended[end]++
      await step()
    }
  }
  return found.length === PAGE && sumOf(ended) > before
}

async function endBatch(
  parts: EndSessionsParts,
  organizationId: string,
  ids: readonly string[],
  now: number,
): Promise<EndByTime[]> {
  return parts.database.withOrganization(organizationId, async (tx) => {
    const over = (await lockOpenSessions(tx, ids)).flatMap((session) => {
      const to = sessionStateAt(session, now)
      return isEndByTime(to) ? [{ ...session, from: session.state, to, endedAt: endsByTime[to].endedAt(session) }] : []
    })
    if (over.length === 0) return []
    await endSessionRows(tx, over)
    const requestId = newId()
    const events = over.map(({ id, principalId, to }) =>
      parts.writeEvent(
        {
          organizationId,
          actor: { type: 'service', id: NIL_UUID },
          type: endsByTime[to].type,
          subject: { deviceId: principalId, sessionId: id },
          data: {},
          requestId,
        },
        now,
      ),
    )
    await insertEvents(tx, events)
    return over.map(({ to }) => to)
  })
}

function sumOf(ended: EndedSessions): number {
  return Object.values(ended).reduce((sum, count) => sum + count, 0)
}
