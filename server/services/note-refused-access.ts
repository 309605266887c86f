import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { actorOf, type Operator, type SessionCaller } from '../caller.ts'
import type { RateLimit } from '../rate-limit.ts'

/** `route`: its method and path as they are declared, nothing of the request's own. */
export type NoteRefusedAccess = (
  caller: Operator | SessionCaller,
  route: { method: string; path: string },
  requestId: string,
) => Promise<void>

/**
 * The event that somebody asked for what is not allowed to him. One per caller, route and minute, so that whoever asks again and
 * again does not fill the log; how often it was is in the request log. `limit` lets one through.
 */
export function createNoteRefusedAccess(parts: {
  database: Database
  clock: Clock
  writeEvent: WriteEvent
  limit: RateLimit
}): NoteRefusedAccess {
  const { limit } = parts
  return async (caller, { method, path }, requestId) => {
    const route = `${method.toUpperCase()} ${path}`
    const key = `${caller.id} ${route}`
    if ((await limit.take(key)).isExceeded) return
    const { organizationId } = caller
    const event = parts.writeEvent(
      {
        organizationId,
        actor: actorOf(caller),
        type: 'access.refused',
        subject: {},
        data: { route },
        requestId,
      },
      parts.clock.now(),
    )
    try {
      await parts.database.withOrganization(organizationId, (tx) => insertEvents(tx, [event]))
    } catch (error) {
      // There is none yet: the next time there has to be one.
      await limit.take(key, -1)
      throw error
    }
  }
}
