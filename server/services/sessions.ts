import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { forgetPrincipalSession, lockPrincipal } from '../../database/repositories/principals.ts'
import { findSession, listSessions, revokeSession, type Session } from '../../database/repositories/sessions.ts'
import { type SessionState, sessionStateAt } from '../../protocol/exchange/session-states.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { actorOf, type Operator, type SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs } from './change-as.ts'

export type { Session }
export type Sessions = ReturnType<typeof createSessions>

/** A session in the state that it is in by now. Devices and coordinators see their own only. */
export function createSessions(parts: { database: Database; clock: Clock; writeEvent: WriteEvent }) {
  const { database, clock } = parts
  const asOfNow = (session: Session): Session => ({ ...session, state: sessionStateAt(session, clock.now()) })

  return {
    async get(caller: Operator | SessionCaller, id: string): Promise<Session> {
      return asOfNow(await database.withOrganization(caller.organizationId, (tx) => getSession(tx, caller, id)))
    },

    async list(
      caller: Operator | SessionCaller,
      page: { limit: number; beforeId: string | undefined; deviceId: string | undefined },
    ): Promise<Session[]> {
      const principalId = caller.type === 'api_token' ? page.deviceId : caller.id
      const { limit, beforeId } = page
      const sessions = await database.withOrganization(caller.organizationId, (tx) =>
        listSessions(tx, { limit, beforeId, principalId }),
      )
      return sessions.map(asOfNow)
    },

    /** Throws `session_state` when it is over. */
    async revoke(caller: Operator | SessionCaller, id: string, requestId: string): Promise<void> {
      const over = (ended: SessionState) => new ServiceError('session_state', `The session is ${ended} already.`)
      await changeAs(parts, caller, async (tx, now) => {
        const { principalId, ...session } = await getSession(tx, caller, id)
        const state = sessionStateAt(session, now)
        if (!['PENDING', 'ACTIVE', 'SUPERSEDED'].includes(state)) throw over(state)
        await lockPrincipal(tx, principalId)
        if (!(await revokeSession(tx, id, now))) throw over((await findSession(tx, id))?.state ?? 'CLOSED')
        await forgetPrincipalSession(tx, principalId, id)
        const event = parts.writeEvent(
          {
            organizationId: caller.organizationId,
            actor: actorOf(caller),
            type: 'session.revoked',
            subject: { deviceId: principalId, sessionId: id },
            data: { with: 'request' },
            requestId,
          },
          now,
        )
        await insertEvents(tx, [event])
      })
    },
  }
}

/** Throws `not_found`; another's session is not to be told from none. */
async function getSession(tx: Tx, caller: Operator | SessionCaller, id: string): Promise<Session> {
  const session = await findSession(tx, id)
  if (session === undefined || (caller.type !== 'api_token' && caller.id !== session.principalId)) {
    throw new ServiceError('not_found', 'There is no such session.')
  }
  return session
}
