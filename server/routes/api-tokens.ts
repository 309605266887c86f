import { z } from 'zod'
import { apiRoles } from '../../protocol/api-roles.ts'
import { displayName } from '../../protocol/enrollment.ts'
import { timestamp, uuid } from '../../protocol/wire.ts'
import type { Clock } from '../../runtime/clock.ts'
import { pageOf, pageQuery, toPage } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import { apiTokenStatusAt } from '../services/api-token-status.ts'
import type { ApiToken, ApiTokens } from '../services/api-tokens.ts'
import { parseId } from './ids.ts'

const YEAR_SECONDS = 31_536_000

const roles = z
  .array(z.enum(apiRoles))
  .min(1)
  .max(apiRoles.length)
  .refine((given) => new Set(given).size === given.length, 'Holds a role twice.')

const tokenWish = z
  .strictObject({
    name: displayName,
    roles,
    ttlSeconds: z
      .int()
      .min(60)
      .max(YEAR_SECONDS)
      .optional()
      .meta({ description: 'default: 90 days; the service may allow less' }),
  })
  .meta({ id: 'ApiTokenWish' })

export const newApiTokenJson = z
  .strictObject({
    id: uuid,
    token: z.string().meta({ description: '`qf_<id>.<secret>`, in this answer and nowhere else' }),
    expiresAt: timestamp.nullable(),
  })
  .meta({ id: 'NewApiToken' })

const tokenJson = z
  .strictObject({
    id: uuid,
    name: z.string(),
    roles,
    serviceAdmin: z.boolean().meta({ description: 'it may make organizations; nobody gets this over the API' }),
    status: z.enum(['open', 'expired', 'revoked']),
    createdAt: timestamp,
    expiresAt: timestamp.nullable(),
    revokedAt: timestamp.nullable(),
  })
  .meta({ id: 'ApiToken' })

const listQuery = z.strictObject(pageQuery)

export function apiTokenRoutes(tokens: ApiTokens, clock: Clock): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/api-tokens',
      access: 'admin',
      summary: 'Make an API token of the own organization',
      body: tokenWish,
      answers: { 201: { description: 'The token, this once.', body: newApiTokenJson } },
      async answer({ caller, body: { name, roles, ttlSeconds }, requestId }) {
        return { status: 201, body: await tokens.create(caller, { name, roles, ttlSeconds }, requestId) }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/api-tokens',
      access: 'admin',
      summary: 'List API tokens, newest first',
      query: listQuery,
      answers: { 200: { description: 'A page of tokens, without their secrets.', body: pageOf(tokenJson) } },
      async answer({ caller, query: { limit, cursor } }) {
        const page = toPage(await tokens.list(caller, { limit: limit + 1, beforeId: cursor }), limit)
        const now = clock.now()
        return { status: 200, body: { ...page, items: page.items.map((token) => toJson(token, now)) } }
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/api-tokens/:id',
      access: 'admin',
      summary: 'Revoke an API token, for good',
      answers: { 204: { description: 'It is refused from now on. Repeating it changes nothing.' } },
      async answer({ caller, params, requestId }) {
        await tokens.revoke(caller, parseId(params), requestId)
        return { status: 204 }
      },
    }),
  ]
}

function toJson(token: ApiToken, now: number): z.input<typeof tokenJson> {
  const { id, name, roles, isServiceAdmin, createdAt, expiresAt, revokedAt } = token
  return {
    id,
    name,
    roles,
    serviceAdmin: isServiceAdmin,
    status: apiTokenStatusAt(token, now),
    createdAt,
    expiresAt: expiresAt ?? null,
    revokedAt: revokedAt ?? null,
  }
}
