import type { Tx } from '../../database/open.ts'
import { endSessionRows } from '../../database/repositories/session-ends.ts'
import { listOpenSessions, revokeSession } from '../../database/repositories/sessions.ts'
import { sessionStateAt } from '../../protocol/exchange/session-states.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { LoggedEvent, WriteEvent } from '../../runtime/audit-events.ts'
import { endsByTime, isEndByTime } from '../../runtime/ends-by-time.ts'

/**
 * Ends every session of a principal, whose row is locked by the caller. Those that are open are REVOKED: their ids, for the
 * caller's events. One that time has ended before is written down as that, with the event of it that is given.
 */
export async function endOpenSessions(
  writeEvent: WriteEvent,
  tx: Tx,
  { organizationId, principalId, requestId }: { organizationId: string; principalId: string; requestId: string },
  now: number,
): Promise<{ revokedIds: string[]; ended: LoggedEvent[] }> {
  const sessions = await listOpenSessions(tx, principalId)
  const over = sessions.flatMap(({ id, state: from, ...session }) => {
    const to = sessionStateAt({ ...session, state: from }, now)
    return isEndByTime(to) ? [{ id, principalId, from, to, endedAt: endsByTime[to].endedAt(session) }] : []
  })
  if (over.length > 0) await endSessionRows(tx, over)
  const overIds = new Set(over.map(({ id }) => id))
  const revokedIds = sessions.flatMap(({ id }) => (overIds.has(id) ? [] : [id]))
  for (const id of revokedIds) await revokeSession(tx, id, now)
  const ended = over.map(({ id, to }) =>
    writeEvent(
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
  return { revokedIds, ended }
}
