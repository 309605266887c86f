import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  findPrincipal,
  listPrincipals,
  lockPrincipal,
  markPrincipalRevoked,
  type Principal,
} from '../../database/repositories/principals.ts'
import { listOpenSessionIds, revokeSession } from '../../database/repositories/sessions.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { actorOf, type Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'

/** As it is stored, with the key that it has now. */
export type Device = Principal
export type Devices = ReturnType<typeof createDevices>

export function createDevices(parts: { database: Database; clock: Clock; writeEvent: WriteEvent }) {
  const { database } = parts
  return {
    list(organizationId: string, page: Parameters<typeof listPrincipals>[1]): Promise<Principal[]> {
      return database.withOrganization(organizationId, (tx) => listPrincipals(tx, page))
    },

    async get(organizationId: string, id: string): Promise<Principal> {
      const principal = await database.withOrganization(organizationId, (tx) => findPrincipal(tx, id))
      if (principal === undefined) throw notFound()
      return principal
    },

    /** With its keys and sessions, in one transaction; revoking twice changes nothing. */
    revoke(operator: Operator, id: string, requestId: string): Promise<Principal> {
      const { organizationId } = operator
      const now = parts.clock.now()
      return database.withOrganization(organizationId, async (tx) => {
        const locked = await lockPrincipal(tx, id)
        if (locked === undefined) throw notFound()
        if (locked.status !== 'REVOKED') {
          const sessionIds = await listOpenSessionIds(tx, id)
          for (const sessionId of sessionIds) await revokeSession(tx, sessionId, now)
          await markPrincipalRevoked(tx, id, now)
          const shared = { organizationId, actor: actorOf(operator), severity: 'notice', requestId } as const
          const events = [
            ...sessionIds.map((sessionId) =>
              parts.writeEvent(
                { ...shared, type: 'session.revoked', subject: { deviceId: id, sessionId }, data: { with: 'device' } },
                now,
              ),
            ),
            parts.writeEvent(
              { ...shared, type: 'device.revoked', subject: { deviceId: id }, data: { sessions: sessionIds.length } },
              now,
            ),
          ]
          await insertEvents(tx, events)
        }
        const principal = await findPrincipal(tx, id)
        if (principal === undefined) throw notFound()
        return principal
      })
    },
  }
}

function notFound(): ServiceError {
  return new ServiceError('not_found', 'There is no such device.')
}
