import { z } from 'zod'
import { timestamp, uuid } from '../../protocol/wire.ts'
import { pageQuery } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { ThreatScores } from '../services/threat-scores.ts'

const threatScoreJson = z
  .strictObject({
    deviceId: uuid,
    name: z.string().nullable(),
    status: z.string().nullable().meta({ description: 'of the device now' }),
    score: z.number().meta({ description: 'what is left of it now' }),
    scoredAt: timestamp.meta({ description: 'when it was last raised' }),
  })
  .meta({ id: 'ThreatScore' })

const listQuery = z.strictObject({ limit: pageQuery.limit })
const topScores = z.strictObject({ items: z.array(threatScoreJson), nextCursor: z.null() })

export function threatScoreRoutes(scores: ThreatScores): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/threat-scores',
      access: 'operator',
      summary: 'List devices by their threat score, the highest first',
      query: listQuery,
      answers: { 200: { description: 'The highest; there is no second page.', body: topScores } },
      async answer({ caller, query: { limit } }) {
        const found = await scores.list(caller, limit)
        const items = found.map(({ name, status, ...row }) => ({ ...row, name: name ?? null, status: status ?? null }))
        return { status: 200, body: { items, nextCursor: null } }
      },
    }),
  ]
}
