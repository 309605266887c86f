// Running it twice is harmless, halfway and at once too: a try begins with a claim that nobody else has until it counts as lost, and
// only who claimed last says how it ended, in the transaction of its event. What is sent again after a crash has the id of before.

import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  type ClaimedNotice,
  claimIncidentNotice,
  deleteIncidentNotice,
  listDueIncidentNotices,
  postponeIncidentNotice,
} from '../../database/repositories/incident-notices.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { Happening, WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { Progress } from '../job.ts'
import { MOST_ATTEMPTS, noticeDelayMs } from '../monitor/notice-delay.ts'
import type { IncidentWebhook } from '../monitor/open-incident-webhook.ts'
import { postNotice } from '../monitor/post-notice.ts'

/** That one look-up gives, and at once on the way. */
const PAGE = 100
const AT_ONCE = 8
/** After so long no further one is begun: the queue has other work, and the next run is near. */
const BEGIN_WITHIN_MS = 5_000
/** A try that has not ended by then counts as lost: several times the time that the receiver has for an answer. */
const LEASE_MS = 60_000
/** Without a receiver what waits is kept for so long, in case that another process has one. */
const KEEP_MS = 86_400_000

export interface SendIncidentNoticesParts {
  database: Database
  crypto: Primitives
  clock: Pick<Clock, 'now'>
  writeEvent: WriteEvent
  logger: Logger
  metrics: Pick<Metrics, 'incidentNotices'>
  /** Undefined: there is nobody to tell. */
  incidentWebhook: IncidentWebhook | undefined
}

type Outcome = 'delivered' | 'failed' | 'given_up'

/**
 * Tells the receiver of what is due, some at once, the organizations in turn. After one that fails no further one is begun: there is
 * one receiver, and it is asked again with the next run. How many were delivered. `random` gives 0 to 1.
 */
export async function sendIncidentNotices(
  parts: SendIncidentNoticesParts,
  random: () => number,
  progress: Progress = async () => {},
): Promise<number> {
  const { incidentWebhook: webhook } = parts
  const endsAt = performance.now() + BEGIN_WITHIN_MS
  const ended: Outcome[] = []
  for (;;) {
    const dueAt = webhook === undefined ? parts.clock.now() - KEEP_MS : parts.clock.now()
    const due = await parts.database.withoutOrganization((tx) => listDueIncidentNotices(tx, dueAt, PAGE))
    const before = ended.length
    const waiting = due.values()
    const lane = async () => {
      for (const { organizationId, id } of waiting) {
        if (ended.includes('failed') || performance.now() > endsAt) return
        await progress(ended.length, before + due.length)
        const outcome = await tell(parts, { organizationId, id, dueAt }, random)
        if (outcome !== undefined) ended.push(outcome)
      }
    }
    const lanes = await Promise.allSettled(Array.from({ length: AT_ONCE }, lane))
    // What was on the way has its end stored, also when the process stops.
    for (const result of lanes) if (result.status === 'rejected') throw result.reason
    const isOver = ended.includes('failed') || performance.now() > endsAt
    // None of a whole page: somebody else has them all.
    if (isOver || due.length < PAGE || ended.length === before) break
  }
  return ended.filter((outcome) => outcome === 'delivered').length
}

export async function sendIncidentNoticesInTime(
  parts: SendIncidentNoticesParts,
  _now: number,
  progress: Progress,
): Promise<void> {
  await sendIncidentNotices(parts, Math.random, progress)
}

/** Undefined: somebody else has it, or says how it ended. No transaction is open while the receiver is asked. */
async function tell(
  parts: SendIncidentNoticesParts,
  { organizationId, id, dueAt }: { organizationId: string; id: string; dueAt: number },
  random: () => number,
): Promise<Outcome | undefined> {
  const { database, incidentWebhook: webhook } = parts
  const claimedAt = parts.clock.now()
  const lease = { dueAt, lostAt: claimedAt + LEASE_MS }
  const claimed = await database.withOrganization(organizationId, (tx) => claimIncidentNotice(tx, id, lease))
  if (claimed === undefined) return undefined
  const notice = { ...claimed, organizationId }
  if (webhook === undefined) return end(parts, notice, 'no_receiver')
  const answer = await postNotice(parts.crypto, webhook, notice, claimedAt)
  if (answer.result === 'delivered') return end(parts, notice, undefined)
  if (answer.result === 'gone') return end(parts, notice, 'gone')
  if (notice.attempts >= MOST_ATTEMPTS) return end(parts, notice, 'attempts')
  const nextAt = parts.clock.now() + noticeDelayMs(notice.attempts, answer.retryAfterSeconds, random())
  const isOurs = await database.withOrganization(organizationId, (tx) => postponeIncidentNotice(tx, notice, nextAt))
  if (!isOurs) return undefined
  parts.metrics.incidentNotices.inc({ result: 'failed' })
  parts.logger.warn(`the receiver of notices was not told of an incident and is asked again: ${answer.reason}`, {
    organizationId,
    incidentId: notice.incidentId,
    count: notice.attempts,
  })
  return 'failed'
}

/** `because`: it was given up. */
async function end(
  parts: SendIncidentNoticesParts,
  notice: ClaimedNotice & { organizationId: string },
  because: 'no_receiver' | 'gone' | 'attempts' | undefined,
): Promise<Outcome | undefined> {
  const { organizationId, incidentId, attempts } = notice
  const subject = { incidentId }
  const told = { notice: notice.type, attempts }
  const happening: Happening =
    because === undefined
      ? { type: 'incident.notice_delivered', subject, data: told }
      : { type: 'incident.notice_given_up', subject, data: { ...told, because } }
  const shared = { organizationId, actor: { type: 'service', id: NIL_UUID }, requestId: newId() } as const
  const isOurs = await parts.database.withOrganization(organizationId, async (tx) => {
    if (!(await deleteIncidentNotice(tx, notice))) return false
    await insertEvents(tx, [parts.writeEvent({ ...shared, ...happening }, parts.clock.now())])
    return true
  })
  if (!isOurs) return undefined
  const outcome = because === undefined ? 'delivered' : 'given_up'
  parts.metrics.incidentNotices.inc({ result: outcome })
  if (because !== undefined)
    parts.logger.error(`the receiver of notices will not be told of an incident: ${because}`, {
      organizationId,
      incidentId,
      count: attempts,
    })
  return outcome
}
