import { DatabaseError } from '../../database/errors.ts'
import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { insertCoordinator } from '../../database/repositories/federation-members.ts'
import { type Federation, insertFederation, listFederations } from '../../database/repositories/federations.ts'
import type { FederationPolicyName } from '../../protocol/rounds/federation-policies.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { newId } from '../../runtime/ids.ts'
import { actorOf, type Operator, type SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs } from './change-as.ts'
import { getFederation, maySeeAll } from './federation-access.ts'

export type { Federation }
export type Federations = ReturnType<typeof createFederations>

/** Who trains together. `defaultPolicy`: of a federation that names none. */
export function createFederations(parts: {
  database: Database
  clock: Clock
  writeEvent: WriteEvent
  defaultPolicy: FederationPolicyName
}) {
  const { database } = parts
  return {
    /** A coordinator that makes one is assigned to it. Throws `name_taken`. */
    create(
      caller: Operator | SessionCaller,
      wish: { name: string; policy: string | undefined },
      requestId: string,
    ): Promise<Federation> {
      const { organizationId } = caller
      const { name, policy = parts.defaultPolicy } = wish
      return withNameTaken(name, () =>
        changeAs(parts, caller, async (tx, createdAt) => {
          const federation = { id: newId(), name, policy, createdBy: caller.id, createdAt }
          await insertFederation(tx, { organizationId, ...federation })
          const belonging = { organizationId, federationId: federation.id, principalId: caller.id }
          if (caller.type !== 'api_token') await insertCoordinator(tx, belonging, createdAt)
          const event = parts.writeEvent(
            {
              organizationId,
              actor: actorOf(caller),
              type: 'federation.created',
              subject: { federationId: federation.id },
              data: { federation: name, policy },
              requestId,
            },
            createdAt,
          )
          await insertEvents(tx, [event])
          return federation
        }),
      )
    },

    /** Those that the caller may see. */
    list(
      caller: Operator | SessionCaller,
      page: { limit: number; beforeId: string | undefined },
    ): Promise<Federation[]> {
      const filter = caller.type === 'api_token' ? { createdBy: caller.id } : { coordinatorId: caller.id }
      return database.withOrganization(caller.organizationId, (tx) =>
        listFederations(tx, { ...page, ...(maySeeAll(caller) ? {} : filter) }),
      )
    },

    get(caller: Operator | SessionCaller, id: string): Promise<Federation> {
      return database.withOrganization(caller.organizationId, (tx) => getFederation(tx, caller, id))
    },
  }
}

async function withNameTaken<T>(name: string, create: () => Promise<T>): Promise<T> {
  try {
    return await create()
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.code !== 'duplicate') throw error
    throw new ServiceError('name_taken', `There is a federation called ${name} already.`, { cause: error })
  }
}
