import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { listParticipants, type Participant } from '../../database/repositories/round-participants.ts'
import {
  findRound,
  insertRound,
  listRounds,
  type ParticipantCounts,
  type Round,
  takeRoundNumber,
} from '../../database/repositories/rounds.ts'
import { MAX_ROUND_NUMBER } from '../../protocol/rounds/messages.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { actorOf, type Operator, type SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs } from './change-as.ts'
import { getFederation } from './federation-access.ts'

export type CountedRound = Round & ParticipantCounts
export type { Participant }
export type Rounds = ReturnType<typeof createRounds>

export function createRounds(parts: { database: Database; clock: Clock; writeEvent: WriteEvent }) {
  const { database } = parts

  /** Reads something of a federation that the caller may see. */
  function readOf<T>(caller: Operator | SessionCaller, federationId: string, read: (tx: Tx) => Promise<T>): Promise<T> {
    return database.withOrganization(caller.organizationId, async (tx) => {
      await getFederation(tx, caller, federationId)
      return read(tx)
    })
  }

  return {
    /** Its number: the next one, or the one wished for. Throws `round_state` where that is not above every round before, or too high. */
    open(
      caller: Operator | SessionCaller,
      federationId: string,
      wish: { round: number | undefined; minParticipants: number },
      requestId: string,
    ): Promise<number> {
      const { organizationId } = caller
      const { minParticipants } = wish
      return changeAs(parts, caller, async (tx, openedAt) => {
        await getFederation(tx, caller, federationId)
        const round = await takeRoundNumber(tx, federationId, wish.round)
        if (round === undefined) {
          throw new ServiceError('round_state', 'Rounds count up: there is this one, or a later one, already.')
        }
        if (round > MAX_ROUND_NUMBER) {
          throw new ServiceError('round_state', 'The federation has had the last round that there can be.')
        }
        await insertRound(tx, { organizationId, federationId, round, minParticipants, openedAt })
        const event = parts.writeEvent(
          {
            organizationId,
            actor: actorOf(caller),
            type: 'round.opened',
            subject: { federationId, round },
            data: { minParticipants },
            requestId,
          },
          openedAt,
        )
        await insertEvents(tx, [event])
        return round
      })
    },

    list(
      caller: Operator | SessionCaller,
      federationId: string,
      page: { limit: number; beforeRound: number | undefined },
    ): Promise<CountedRound[]> {
      return readOf(caller, federationId, (tx) => listRounds(tx, federationId, page))
    },

    get(caller: Operator | SessionCaller, federationId: string, round: number): Promise<CountedRound> {
      return readOf(caller, federationId, (tx) => getRound(tx, federationId, round))
    },

    listParticipants(
      caller: Operator | SessionCaller,
      federationId: string,
      round: number,
      page: { limit: number; afterId: string | undefined; isGone: boolean | undefined },
    ): Promise<Participant[]> {
      return readOf(caller, federationId, async (tx) => {
        await getRound(tx, federationId, round)
        return listParticipants(tx, federationId, round, page)
      })
    },
  }
}

async function getRound(tx: Tx, federationId: string, round: number): Promise<CountedRound> {
  const found = await findRound(tx, federationId, round)
  if (found === undefined) throw noRound()
  return found
}

export function noRound(): ServiceError {
  return new ServiceError('not_found', 'The federation has no such round.')
}

/** Throws `not_found`, `round_state`. */
export function requireOpen(round: Round | undefined): Round {
  if (round === undefined) throw noRound()
  if (round.state !== 'OPEN') throw new ServiceError('round_state', `The round is ${round.state} already.`)
  return round
}
