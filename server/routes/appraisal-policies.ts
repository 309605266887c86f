import { z } from 'zod'
import { policyDocument } from '../../protocol/attestation/policy.ts'
import { parsePolicyId, policyName } from '../../protocol/attestation/policy-id.ts'
import { json, timestamp } from '../../protocol/wire.ts'
import { ServiceError } from '../errors.ts'
import { cursorOf, decimal, pageOf, pageQuery, toPage } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { AppraisalPolicies, ShownPolicy } from '../services/appraisal-policies.ts'

/** Of a column of four bytes. */
const MAX_VERSION = 2_147_483_647

const policyWish = z.strictObject({ name: policyName, policy: policyDocument }).meta({ id: 'AppraisalPolicyWish' })

const policyJson = z
  .strictObject({
    id: z.string().meta({ description: '`name@version`; of the one that is built in `none`' }),
    name: z.string(),
    version: z.int().nullable(),
    policy: z.record(z.string(), json).meta({ description: 'a PolicyDocument' }),
    policyHash: z.string().meta({ description: 'SHA3-256 of its canonical JSON, base64url' }),
    createdAt: timestamp.nullable(),
  })
  .meta({ id: 'AppraisalPolicy' })

const listQuery = z.strictObject({ ...pageQuery, cursor: cursorOf((id) => parsePolicyId(id)?.name) })
const versionQuery = z.strictObject({
  version: decimal
    .pipe(z.int().min(1).max(MAX_VERSION))
    .optional()
    .meta({ description: 'the newest without it', type: 'integer' }),
})

export function appraisalPolicyRoutes(policies: AppraisalPolicies): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/policies',
      access: 'operator',
      summary: 'Write the next version of an appraisal policy',
      body: policyWish,
      answers: {
        200: { description: 'The newest version, which says the same.', body: policyJson },
        201: { description: 'The version, which stays as it is.', body: policyJson, hasLocation: true },
      },
      async answer({ caller, body: { name, policy: document }, requestId }) {
        const { policy, isNew } = await policies.create(caller, { name, document }, requestId)
        if (!isNew) return { status: 200, body: toJson(policy) }
        const location = `/v1/policies/${policy.name}?version=${policy.version}`
        return { status: 201, body: toJson(policy), headers: { location } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/policies',
      access: 'operator',
      summary: 'List the newest version of each appraisal policy, by their names',
      query: listQuery,
      answers: { 200: { description: 'A page of policies.', body: pageOf(policyJson) } },
      async answer({ caller, query: { limit, cursor } }) {
        const page = toPage(await policies.list(caller, { limit: limit + 1, afterName: cursor }), limit)
        return { status: 200, body: { ...page, items: page.items.map(toJson) } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/policies/:name',
      access: 'operator',
      summary: 'Show an appraisal policy',
      query: versionQuery,
      answers: { 200: { description: 'The version.', body: policyJson } },
      async answer({ caller, params, query: { version } }) {
        return { status: 200, body: toJson(await policies.get(caller, { name: parseName(params), version })) }
      },
    }),
  ]
}

function parseName({ name }: Record<string, string>): string {
  const parsed = policyName.safeParse(name)
  if (!parsed.success) throw new ServiceError('not_found', 'There is no such policy.')
  return parsed.data
}

function toJson(policy: ShownPolicy): z.input<typeof policyJson> {
  const { id, name, version = null, document, policyHash, createdAt = null } = policy
  return { id, name, version, policy: document, policyHash, createdAt }
}
