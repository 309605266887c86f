// Running it twice is harmless: a partition is dropped once, in the transaction of its event; what is gone is not listed again.

import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { dropSessionPartition, listSessionDays } from '../../database/repositories/session-ends.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'

const DAY_MS = 86_400_000
/** After a day the last of its sessions ends: those of its last bucket, an hour after its grace, and to spare. */
const LAST_END_MS = 2 * 3_600_000

export interface PruneSessionsParts {
  database: Database
  writeEvent: WriteEvent
  /** After the end of a day's last session; at least 1. */
  retentionDays: number
}

export interface PrunedDay {
  /** UTC, `YYYY-MM-DD`. */
  day: string
  sessions: number
}

/**
 * Drops the partitions of days whose last session ended longer ago than the retention, the oldest first. Nobody needs the rows: a
 * message of such a day is out of every bucket's window before anything is looked up, and what happened stands in the audit log.
 * `progress` is told how many of the days are done.
 */
export async function pruneSessions(
  parts: PruneSessionsParts,
  now: number,
  progress: (done: number, total: number) => Promise<void> = async () => {},
): Promise<PrunedDay[]> {
  const endedBefore = now - parts.retentionDays * DAY_MS
  const days = await parts.database.withoutOrganization(listSessionDays)
  const old = days.filter((day) => Date.parse(day) + DAY_MS + LAST_END_MS <= endedBefore)
  const pruned: PrunedDay[] = []
  for (const [index, day] of old.entries()) {
    const sessions = await pruneDay(parts, day, endedBefore, now)
    if (sessions !== undefined) pruned.push({ day, sessions })
    await progress(index + 1, old.length)
  }
  return pruned
}

export async function pruneOldSessions(
  parts: PruneSessionsParts & { logger: Logger },
  now: number,
  progress: (done: number, total: number) => Promise<void>,
): Promise<void> {
  for (const { day, sessions } of await pruneSessions(parts, now, progress))
    parts.logger.info(`the sessions of ${day} were dropped`, { count: sessions })
}

function pruneDay(
  parts: PruneSessionsParts,
  day: string,
  endedBefore: number,
  now: number,
): Promise<number | undefined> {
  return parts.database.withOrganization(NIL_UUID, async (tx) => {
    const sessions = await dropSessionPartition(tx, day, endedBefore)
    if (sessions === undefined) return undefined
    const event = parts.writeEvent(
      {
        organizationId: NIL_UUID,
        actor: { type: 'service', id: NIL_UUID },
        type: 'sessions.pruned',
        subject: {},
        data: { day, sessions },
        requestId: newId(),
      },
      now,
    )
    await insertEvents(tx, [event])
    return sessions
  })
}
