import { z } from 'zod'
import {
  participationStatuses,
  round as roundJson,
  roundOpened,
  roundParticipation,
  roundRequest,
} from '../../protocol/rounds/messages.ts'
import { decimal, pageOf, pageQuery, toPage } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { CountedRound, Participant, Rounds } from '../services/rounds.ts'
import { parseId, parseRoundName } from './ids.ts'

const listQuery = z.strictObject({
  limit: pageQuery.limit,
  cursor: decimal.optional().meta({ description: 'the round below which to go on', type: 'integer' }),
})
/** Counting them takes as long as one request of the others may. */
const PARTICIPANTS_OF_A_REQUEST = 10_000
const participantQuery = z.strictObject({ ...pageQuery, status: z.enum(participationStatuses).optional() })

export function roundRoutes(rounds: Rounds): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/federations/:id/rounds',
      access: 'coordinator',
      summary: 'Open a round',
      body: roundRequest,
      answers: { 201: { description: 'Its number.', body: roundOpened, hasLocation: true } },
      errors: ['round_state'],
      async answer({ caller, params, body, requestId }) {
        const federationId = parseId(params)
        const wish = { round: body.round, minParticipants: body.minParticipants ?? 1 }
        const round = await rounds.open(caller, federationId, wish, requestId)
        const location = `/v1/federations/${federationId}/rounds/${round}`
        return { status: 201, body: { round }, headers: { location } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/federations/:id/rounds',
      access: 'operator_or_coordinator',
      summary: 'List the rounds of a federation, the newest first',
      query: listQuery,
      answers: { 200: { description: 'A page of rounds.', body: pageOf(roundJson) } },
      async answer({ caller, params, query: { limit, cursor }, weigh }) {
        const found = await rounds.list(caller, parseId(params), { limit: limit + 1, beforeRound: cursor })
        const counted = found.reduce((sum, { participants }) => sum + participants, 0)
        await weigh(Math.ceil(counted / PARTICIPANTS_OF_A_REQUEST))
        const items = found.slice(0, limit).map(toRoundJson)
        const nextCursor = found.length > limit ? String(items.at(-1)?.round) : null
        return { status: 200, body: { items, nextCursor } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/federations/:id/rounds/:round',
      access: 'operator_or_coordinator',
      summary: 'Show a round',
      answers: { 200: { description: 'The round.', body: roundJson } },
      async answer({ caller, params }) {
        const { federationId, round } = parseRoundName(params)
        return { status: 200, body: toRoundJson(await rounds.get(caller, federationId, round)) }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/federations/:id/rounds/:round/participants',
      access: 'operator_or_coordinator',
      summary: 'List for whom a key of a round was given out, by the ids of the devices',
      query: participantQuery,
      answers: { 200: { description: 'A page of participants.', body: pageOf(roundParticipation) } },
      async answer({ caller, params, query: { limit, cursor, status } }) {
        const { federationId, round } = parseRoundName(params)
        const isGone = status && status === 'epoch_gone'
        const wanted = { limit: limit + 1, afterId: cursor, isGone }
        const found = await rounds.listParticipants(caller, federationId, round, wanted)
        const page = toPage(
          found.map((participant) => ({ ...participant, id: participant.deviceId })),
          limit,
        )
        return { status: 200, body: { ...page, items: page.items.map(toParticipationJson) } }
      },
    }),
  ]
}

function toRoundJson(round: CountedRound): z.input<typeof roundJson> {
  return { ...round, closedAt: round.closedAt ?? null, aggregateHash: round.aggregateHash ?? null }
}

function toParticipationJson(participant: Participant): z.input<typeof roundParticipation> {
  const { deviceId, sessionId, epoch, givenAt, goneAt } = participant
  return { deviceId, sessionId, epoch, givenAt, status: goneAt === undefined ? 'given' : 'epoch_gone' }
}
