import { z } from 'zod'
import { evidenceBundle, toWireBundle } from '../../protocol/attestation/evidence-bundle.ts'
import { kid, timestamp, uuid } from '../../protocol/wire.ts'
import { pageOf, pageQuery, toPage } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { Attestation, Attestations } from '../services/attestations.ts'
import { parseId } from './ids.ts'

/** RFC 9782. */
const EAR_MEDIA_TYPE = 'application/eat+jwt'

const { tier, findings } = evidenceBundle.shape.result.unwrap().shape

const attestationJson = z
  .strictObject({
    id: uuid,
    deviceId: uuid,
    kid,
    sessionId: uuid.nullable().meta({ description: 'null of an enrolment, and of a new identity key' }),
    tier,
    policyId: z.string(),
    appraisedAt: timestamp,
    expiresAt: timestamp,
    findings: findings.meta({ description: 'by format of evidence, line by line' }),
  })
  .meta({ id: 'AttestationResult' })

const listQuery = z.strictObject({ ...pageQuery, deviceId: uuid.optional(), tier: tier.optional() })

export function attestationRoutes(attestations: Attestations): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/attestations',
      access: 'operator_or_coordinator',
      summary: 'List attestation results, the newest first',
      query: listQuery,
      answers: { 200: { description: 'A page of results.', body: pageOf(attestationJson) } },
      async answer({ caller, query: { limit, cursor, deviceId, tier: wantedTier } }) {
        const asked = { limit: limit + 1, beforeId: cursor, deviceId, tier: wantedTier }
        const page = toPage(await attestations.list(caller, asked), limit)
        return { status: 200, body: { ...page, items: page.items.map(toJson) } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/attestations/:id',
      access: 'operator_or_coordinator',
      summary: 'Show an attestation result',
      answers: { 200: { description: 'The result.', body: attestationJson } },
      errors: ['attestation_removed'],
      async answer({ caller, params }) {
        return { status: 200, body: toJson(await attestations.get(caller, parseId(params))) }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/attestations/:id/ear',
      access: 'operator_or_coordinator',
      summary: 'Get an attestation result as it was signed, for anybody to check',
      answers: { 200: { description: 'The EAR, a compact JWS.', contentType: EAR_MEDIA_TYPE } },
      errors: ['attestation_removed'],
      async answer({ caller, params }) {
        const { ear } = await attestations.get(caller, parseId(params))
        return { status: 200, body: ear, headers: { 'content-type': EAR_MEDIA_TYPE } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/attestations/:id/evidence',
      access: 'operator',
      summary: 'Get the evidence of a result with everything that it was appraised with',
      answers: { 200: { description: 'The bundle.', body: evidenceBundle } },
      errors: ['attestation_removed'],
      async answer({ caller, params }) {
        return { status: 200, body: toWireBundle(await attestations.getEvidence(caller, parseId(params))) }
      },
    }),
  ]
}

function toJson({ principalId, sessionId, ...result }: Attestation): z.input<typeof attestationJson> {
  return {
    id: result.id,
    deviceId: principalId,
    kid: result.kid,
    sessionId: sessionId ?? null,
    tier: result.tier,
    policyId: result.policyId,
    appraisedAt: result.appraisedAt,
    expiresAt: result.expiresAt,
    findings: result.findings,
  }
}
