import { z } from 'zod'
import { displayName, principalKinds } from '../../protocol/enrollment.ts'
import type { Clock } from '../../runtime/clock.ts'
import { pageQuery, toPage } from '../page.ts'
import { parseInput, type Route } from '../route.ts'
import type { EnrollmentToken, EnrollmentTokens } from '../services/enrollment-tokens.ts'
import { builtInPolicyIds } from '../services/policies.ts'
import { parseId } from './ids.ts'

const DAY_SECONDS = 86_400

const tokenWish = z.strictObject({
  kind: z.enum(principalKinds),
  name: displayName.optional(),
  policyId: z.enum(builtInPolicyIds).default('none'),
  ttlSeconds: z
    .int()
    .min(60)
    .max(30 * DAY_SECONDS)
    .default(DAY_SECONDS),
})

const listQuery = z.strictObject(pageQuery)

export function enrollmentTokenRoutes(tokens: EnrollmentTokens, clock: Clock): Route[] {
  return [
    {
      method: 'post',
      path: '/v1/enrollment-tokens',
      access: 'operator',
      async answer({ caller, body, requestId }) {
        const { kind, name, policyId, ttlSeconds } = parseInput(tokenWish, body)
        return { status: 201, body: await tokens.create(caller, { kind, name, policyId, ttlSeconds }, requestId) }
      },
    },
    {
      method: 'get',
      path: '/v1/enrollment-tokens',
      access: 'operator',
      async answer({ caller, query }) {
        const { limit, cursor } = parseInput(listQuery, query)
        const page = toPage(await tokens.list(caller, { limit: limit + 1, beforeId: cursor }), limit)
        const now = clock.now()
        return { status: 200, body: { ...page, items: page.items.map((token) => toJson(token, now)) } }
      },
    },
    {
      method: 'delete',
      path: '/v1/enrollment-tokens/:id',
      access: 'operator',
      async answer({ caller, params, requestId }) {
        await tokens.revoke(caller, parseId(params), requestId)
        return { status: 204 }
      },
    },
  ]
}

function toJson(token: EnrollmentToken, now: number): object {
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

function statusOf(token: EnrollmentToken, now: number): 'open' | 'used' | 'revoked' | 'expired' {
  if (token.usedAt !== undefined) return 'used'
  if (token.revokedAt !== undefined) return 'revoked'
  return token.expiresAt <= now ? 'expired' : 'open'
}
