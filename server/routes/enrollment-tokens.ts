import { z } from 'zod'
import { displayName, principalKinds } from '../../protocol/enrollment.ts'
import { timestamp, uuid } from '../../protocol/wire.ts'
import type { Clock } from '../../runtime/clock.ts'
import { pageOf, pageQuery, toPage } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { EnrollmentToken, EnrollmentTokens } from '../services/enrollment-tokens.ts'
import { builtInPolicyIds } from '../services/policies.ts'
import { parseId } from './ids.ts'

const DAY_SECONDS = 86_400

const tokenWish = z
  .strictObject({
    kind: z.enum(principalKinds),
    name: displayName.optional().meta({ description: 'the only name that the device may enrol under' }),
    policyId: z.enum(builtInPolicyIds).default('none'),
    ttlSeconds: z
      .int()
      .min(60)
      .max(30 * DAY_SECONDS)
      .default(DAY_SECONDS),
  })
  .meta({ id: 'EnrollmentTokenWish' })

const newTokenJson = z
  .strictObject({
    id: uuid,
    token: z.string().meta({ description: '`<id>.<secret>.<pin>`, in this answer and nowhere else' }),
    expiresAt: timestamp,
  })
  .meta({ id: 'NewEnrollmentToken' })

const tokenStatuses = ['open', 'used', 'revoked', 'expired'] as const
const tokenJson = z
  .strictObject({
    id: uuid,
    kind: z.enum(principalKinds),
    name: z.string().nullable(),
    policyId: z.string(),
    status: z.enum(tokenStatuses),
    createdAt: timestamp,
    expiresAt: timestamp,
    deviceId: uuid.nullable(),
  })
  .meta({ id: 'EnrollmentToken' })

const listQuery = z.strictObject(pageQuery)

export function enrollmentTokenRoutes(tokens: EnrollmentTokens, clock: Clock): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/enrollment-tokens',
      access: 'operator',
      summary: 'Make an enrolment token',
      body: tokenWish,
      answers: { 201: { description: 'The token, this once.', body: newTokenJson } },
      async answer({ caller, body: { kind, name, policyId, ttlSeconds }, requestId }) {
        return { status: 201, body: await tokens.create(caller, { kind, name, policyId, ttlSeconds }, requestId) }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/enrollment-tokens',
      access: 'operator',
      summary: 'List enrolment tokens, newest first',
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
      path: '/v1/enrollment-tokens/:id',
      access: 'operator',
      summary: 'Revoke an enrolment token',
      answers: { 204: { description: 'Nobody can enrol with it any more.' } },
      errors: ['session_state'],
      async answer({ caller, params, requestId }) {
        await tokens.revoke(caller, parseId(params), requestId)
        return { status: 204 }
      },
    }),
  ]
}

function toJson(token: EnrollmentToken, now: number): z.input<typeof tokenJson> {
  const { id, kind, name, policyId, createdAt, expiresAt, principalId } = token
  return {
    id,
    kind,
    name: name ?? null,
    policyId,
    status: statusOf(token, now),
    createdAt,
    expiresAt,
    deviceId: principalId ?? null,
  }
}

function statusOf(token: EnrollmentToken, now: number): (typeof tokenStatuses)[number] {
  if (token.usedAt !== undefined) return 'used'
  if (token.revokedAt !== undefined) return 'revoked'
  return token.expiresAt <= now ? 'expired' : 'open'
}
