import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { isMember } from '../../database/repositories/federation-members.ts'
import { findParticipant, markEpochGone, type Participant } from '../../database/repositories/round-participants.ts'
import { shareRound } from '../../database/repositories/rounds.ts'
import type { MembershipAnswer } from '../../protocol/rounds/messages.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { actorOf, type SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs } from './change-as.ts'
import type { RoundName } from './derive-round-keys.ts'
import { requireOpen } from './rounds.ts'

export type RoundMembership = ReturnType<typeof createRoundMembership>

/** A device's own place in a round. A federation of others, a round without a key for it, and none at all look alike to it. */
export function createRoundMembership(parts: { database: Database; clock: Clock; writeEvent: WriteEvent }) {
  const { database } = parts
  return {
    get(caller: SessionCaller, { federationId, round }: RoundName): Promise<MembershipAnswer> {
      return database.withOrganization(caller.organizationId, async (tx) => {
        const found = (await isMember(tx, federationId, caller.id))
          ? await findParticipant(tx, federationId, round, caller.id)
          : undefined
        if (found === undefined) throw noPlace()
        return { sessionId: found.sessionId, epoch: found.epoch }
      })
    },

    /** Of what it was told last, or of what it names: a newer one stays as it is. Saying it twice changes nothing. */
    reportEpochGone(
      caller: SessionCaller,
      name: RoundName,
      told: { sessionId: string | undefined; epoch: number | undefined },
      requestId: string,
    ): Promise<void> {
      const { organizationId } = caller
      const { federationId, round } = name
      return changeAs(parts, caller, async (tx, now) => {
        if (!(await isMember(tx, federationId, caller.id))) throw noPlace()
        const open = await shareRound(tx, federationId, round)
        const held = await findParticipant(tx, federationId, round, caller.id)
        if (held === undefined) throw noPlace()
        requireOpen(open)
        if (held.goneAt !== undefined || !isMeant(told, held)) return
        await markEpochGone(tx, { ...name, deviceId: caller.id }, now)
        const event = parts.writeEvent(
          {
            organizationId,
            actor: actorOf(caller),
            type: 'round.epoch_gone',
            subject: { ...name, deviceId: caller.id, sessionId: held.sessionId },
            data: { epoch: held.epoch },
            requestId,
          },
          now,
        )
        await insertEvents(tx, [event])
      })
    },
  }
}

function isMeant(told: { sessionId: string | undefined; epoch: number | undefined }, held: Participant): boolean {
  return (told.sessionId ?? held.sessionId) === held.sessionId && (told.epoch ?? held.epoch) === held.epoch
}

function noPlace(): ServiceError {
  return new ServiceError('not_found', 'No key of such a round was given out for this device.')
}
