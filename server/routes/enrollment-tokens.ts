import { z } from 'zod'
import { POLICY_NONE, policyId } from '../../protocol/attestation/policy-id.ts'
import { deviceCapabilities, deviceLabel } from '../../protocol/device-labels.ts'
import { displayName, principalKinds } from '../../protocol/enrollment.ts'
import { timestamp, uuid } from '../../protocol/wire.ts'
import type { Clock } from '../../runtime/clock.ts'
import { pageOf, pageQuery, toPage } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import {
  type EnrollmentToken,
  type EnrollmentTokens,
  type EnrollmentTokenWish,
  enrollmentTokenStatusAt,
  type NewEnrollmentToken,
} from '../services/enrollment-tokens.ts'
import { parseId } from './ids.ts'

const DAY_SECONDS = 86_400
const MAX_BULK_TOKENS = 500
const BULK_MAX_BODY_BYTES = 262_144

const tokenWish = z
  .strictObject({
    kind: z.enum(principalKinds),
    name: displayName.optional().meta({ description: 'the only name that the device may enrol under' }),
    type: deviceLabel.optional().meta({ description: 'what the device is from its enrolment on' }),
    capabilities: deviceCapabilities.default([]),
    policyId: policyId.default(POLICY_NONE),
    ttlSeconds: z
      .int()
      .min(60)
      .max(30 * DAY_SECONDS)
      .default(DAY_SECONDS),
  })
  .meta({ id: 'EnrollmentTokenWish' })

const bulkWish = z.strictObject({ items: z.array(tokenWish).min(1).max(MAX_BULK_TOKENS) })

const newToken = {
  id: uuid,
  token: z.string().meta({ description: '`<id>.<secret>.<pin>`, in this answer and nowhere else' }),
  expiresAt: timestamp,
}
const newTokenJson = z.strictObject(newToken).meta({ id: 'NewEnrollmentToken' })
const newTokensJson = z.strictObject({
  items: z
    .array(z.strictObject({ ...newToken, name: z.string().nullable() }))
    .meta({ description: 'in the order asked' }),
})

const tokenStatuses = ['open', 'used', 'revoked', 'expired'] as const
const tokenJson = z
  .strictObject({
    id: uuid,
    kind: z.enum(principalKinds),
    name: z.string().nullable(),
    type: deviceLabel.nullable(),
    capabilities: deviceCapabilities,
    policyId: z.string(),
    status: z.enum(tokenStatuses),
    createdAt: timestamp,
    expiresAt: timestamp,
    deviceId: uuid.nullable(),
  })
  .meta({ id: 'EnrollmentToken' })

const listQuery = z.strictObject({ ...pageQuery, status: z.enum(tokenStatuses).optional() })

export function enrollmentTokenRoutes(tokens: EnrollmentTokens, clock: Clock): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/enrollment-tokens',
      access: 'operator',
      summary: 'Make an enrolment token',
      body: tokenWish,
      answers: { 201: { description: 'The token, this once.', body: newTokenJson, hasLocation: true } },
      async answer({ caller, body, requestId }) {
        const [made] = await tokens.create(caller, [toWish(body)], requestId, () => '')
        const token = made as NewEnrollmentToken
        return { status: 201, body: token, headers: { location: `/v1/enrollment-tokens/${token.id}` } }
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/enrollment-tokens/bulk',
      access: 'operator',
      summary: 'Make up to 500 enrolment tokens: all of them, or none',
      body: bulkWish,
      maxBodyBytes: BULK_MAX_BODY_BYTES,
      answers: { 201: { description: 'The tokens, this once.', body: newTokensJson } },
      async answer({ caller, body: { items }, requestId, weigh }) {
        await weigh(items.length)
        const made = await tokens.create(caller, items.map(toWish), requestId, (i) => `items.${i}.`)
        return { status: 201, body: { items: made.map((token, i) => ({ ...token, name: items[i]?.name ?? null })) } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/enrollment-tokens',
      access: 'operator',
      summary: 'List enrolment tokens, newest first',
      query: listQuery,
      answers: { 200: { description: 'A page of tokens, without their secrets.', body: pageOf(tokenJson) } },
      async answer({ caller, query: { limit, cursor, status } }) {
        const page = toPage(await tokens.list(caller, { limit: limit + 1, beforeId: cursor, status }), limit)
        const now = clock.now()
        return { status: 200, body: { ...page, items: page.items.map((token) => toJson(token, now)) } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/enrollment-tokens/:id',
      access: 'operator',
      summary: 'Show an enrolment token',
      answers: { 200: { description: 'The token, without its secret.', body: tokenJson } },
      async answer({ caller, params }) {
        return { status: 200, body: toJson(await tokens.get(caller, parseId(params)), clock.now()) }
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

function toWish({ name, type, ...rest }: z.output<typeof tokenWish>): EnrollmentTokenWish {
  return { ...rest, name, type }
}

function toJson(token: EnrollmentToken, now: number): z.input<typeof tokenJson> {
  const { id, kind, name, type, capabilities, policyId, createdAt, expiresAt, principalId } = token
  return {
    id,
    kind,
    name: name ?? null,
    type: type ?? null,
    capabilities,
    policyId,
    status: enrollmentTokenStatusAt(token, now),
    createdAt,
    expiresAt,
    deviceId: principalId ?? null,
  }
}
