import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  deleteCoordinator,
  deleteMember,
  findPrincipalKind,
  insertCoordinator,
  insertMember,
  isActiveUntilCommit,
  listMembers,
} from '../../database/repositories/federation-members.ts'
import { restateRevocations } from '../../database/repositories/revocations.ts'
import type { PrincipalKind } from '../../protocol/enrollment.ts'
import type { FederationMember } from '../../protocol/rounds/messages.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { actorOf, type Operator, type SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs } from './change-as.ts'
import { getFederation, maySeeAll } from './federation-access.ts'

export type FederationMembers = ReturnType<typeof createFederationMembers>

type BelongingEvent =
  | 'federation.member_added'
  | 'federation.member_removed'
  | 'federation.coordinator_added'
  | 'federation.coordinator_removed'

/** Which devices are in a federation, and which coordinators run its rounds. Saying the same twice changes nothing. */
export function createFederationMembers(parts: { database: Database; clock: Clock; writeEvent: WriteEvent }) {
  const { database } = parts

  async function change(
    caller: Operator | SessionCaller,
    { federationId, principalId }: { federationId: string; principalId: string },
    kind: PrincipalKind,
    { type, store }: { type: BelongingEvent; store: typeof deleteMember | typeof insertMember },
    requestId: string,
  ): Promise<void> {
    const { organizationId } = caller
    await changeAs(parts, caller, async (tx, now) => {
      const federation = await getFederation(tx, caller, federationId)
      if (kind === 'coordinator') requireMaker(caller, federation.createdBy)
      await requireKind(tx, principalId, kind)
      if (!(await store(tx, { organizationId, federationId, principalId }, now))) return
      await tellNewcomers(tx, type, { federationId, principalId }, now)
      const event = parts.writeEvent(
        {
          organizationId,
          actor: actorOf(caller),
          type,
          subject: { federationId, deviceId: principalId },
          data: {},
          requestId,
        },
        now,
      )
      await insertEvents(tx, [event])
    })
  }

  return {
    addMember(caller: Operator | SessionCaller, federationId: string, deviceId: string, requestId: string) {
      const adding = { type: 'federation.member_added', store: insertMember } as const
      return change(caller, { federationId, principalId: deviceId }, 'device', adding, requestId)
    },

    removeMember(caller: Operator | SessionCaller, federationId: string, deviceId: string, requestId: string) {
      const removing = { type: 'federation.member_removed', store: deleteMember } as const
      return change(caller, { federationId, principalId: deviceId }, 'device', removing, requestId)
    },

    listMembers(
      caller: Operator | SessionCaller,
      federationId: string,
      page: { limit: number; afterId: string | undefined },
    ): Promise<FederationMember[]> {
      return database.withOrganization(caller.organizationId, async (tx) => {
        await getFederation(tx, caller, federationId)
        return listMembers(tx, federationId, page)
      })
    },

    addCoordinator(caller: Operator | SessionCaller, federationId: string, principalId: string, requestId: string) {
      const adding = { type: 'federation.coordinator_added', store: insertCoordinator } as const
      return change(caller, { federationId, principalId }, 'coordinator', adding, requestId)
    },

    removeCoordinator(caller: Operator | SessionCaller, federationId: string, principalId: string, requestId: string) {
      const removing = { type: 'federation.coordinator_removed', store: deleteCoordinator } as const
      return change(caller, { federationId, principalId }, 'coordinator', removing, requestId)
    },
  }
}

/** Who shares the keys of the rounds decides over the fleet's work: operators do, and the coordinator that made the federation. */
function requireMaker(caller: Operator | SessionCaller, createdBy: string): void {
  if (maySeeAll(caller) || caller.id === createdBy) return
  throw new ServiceError('forbidden', 'Only an operator, or who made the federation, assigns its coordinators.')
}

/** Who hears of a federation's members from now on hears of those, too, who were barred before. */
async function tellNewcomers(
  tx: Tx,
  type: BelongingEvent,
  { federationId, principalId }: { federationId: string; principalId: string },
  now: number,
): Promise<void> {
  if (type === 'federation.coordinator_added') {
    await restateRevocations(tx, { federationId, deviceId: undefined }, now)
  } else if (type === 'federation.member_added' && !(await isActiveUntilCommit(tx, principalId))) {
    await restateRevocations(tx, { federationId, deviceId: principalId }, now)
  }
}

/** A device of another organization is not to be told from none. */
async function requireKind(tx: Tx, principalId: string, kind: PrincipalKind): Promise<void> {
  if ((await findPrincipalKind(tx, principalId)) !== kind) {
    throw new ServiceError('not_found', `There is no such ${kind}.`)
  }
}
