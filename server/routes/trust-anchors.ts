import { z } from 'zod'
import { evidenceFormatNames } from '../../protocol/attestation/evidence-format.ts'
import { displayName } from '../../protocol/enrollment.ts'
import { bytesWithin, timestamp, uuid } from '../../protocol/wire.ts'
import { pageOf, pageQuery, toPage } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { TrustAnchorRow, TrustAnchors } from '../services/trust-anchors.ts'
import { parseId } from './ids.ts'

const MAX_ANCHORS = 200
const MAX_BODY_BYTES = 1_048_576
const MAX_DER_BYTES = 8_192

const format = z.enum(evidenceFormatNames)
const kind = z.enum(['root', 'intermediate', 'key'])

const anchorWish = z
  .strictObject({
    format,
    kind: kind.meta({ description: 'tpm2: root or intermediate; psa: key' }),
    der: bytesWithin(1, MAX_DER_BYTES).meta({ description: 'a certificate, or the SubjectPublicKeyInfo of a key' }),
    lookupId: z.string().max(160).optional().meta({ description: 'of a key alone: psa:<hex of the instance id>' }),
    label: displayName.optional(),
  })
  .meta({ id: 'TrustAnchorWish' })

const anchorJson = z
  .strictObject({
    id: uuid,
    format,
    kind,
    lookupId: z.string(),
    der: bytesWithin(1, MAX_DER_BYTES),
    fingerprint: z.string().meta({ description: 'SHA-256 of der, hex' }),
    label: z.string().nullable(),
    createdAt: timestamp,
    removedAt: timestamp.nullable(),
  })
  .meta({ id: 'TrustAnchor' })
const anchorsJson = z.strictObject({ items: z.array(anchorJson).meta({ description: 'in the order asked' }) })

const listQuery = z.strictObject({
  ...pageQuery,
  format: format.optional(),
  removed: z.literal('true').optional().meta({ description: 'those that were removed, too' }),
})

export function trustAnchorRoutes(anchors: TrustAnchors): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/trust-anchors',
      access: 'operator',
      summary: 'Trust certificates of authorities, or keys of devices; the same again changes nothing',
      body: z.strictObject({ items: z.array(anchorWish).min(1).max(MAX_ANCHORS) }),
      maxBodyBytes: MAX_BODY_BYTES,
      answers: { 201: { description: 'The trust anchors, all of them.', body: anchorsJson } },
      async answer({ caller, body, requestId }) {
        const wishes = body.items.map(({ lookupId, label, ...wish }) => ({ ...wish, lookupId, label }))
        const items = await anchors.add(caller, wishes, requestId)
        return { status: 201, body: z.encode(anchorsJson, { items: items.map(toAnchorJson) }) }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/trust-anchors',
      access: 'operator',
      summary: 'List trust anchors, newest first',
      query: listQuery,
      answers: { 200: { description: 'A page of trust anchors.', body: pageOf(anchorJson) } },
      async answer({ caller, query }) {
        const { limit, cursor: beforeId, format: ofFormat, removed } = query
        const wanted = { limit: limit + 1, beforeId, format: ofFormat, withRemoved: removed === 'true' }
        const page = toPage(await anchors.list(caller, wanted), limit)
        return {
          status: 200,
          body: { ...page, items: page.items.map((row) => z.encode(anchorJson, toAnchorJson(row))) },
        }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/trust-anchors/:id',
      access: 'operator',
      summary: 'Show a trust anchor',
      answers: { 200: { description: 'The trust anchor.', body: anchorJson } },
      async answer({ caller, params }) {
        return { status: 200, body: z.encode(anchorJson, toAnchorJson(await anchors.get(caller, parseId(params)))) }
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/trust-anchors/:id',
      access: 'operator',
      summary: 'Trust it no more; a device that it let in fails at its next attestation',
      answers: { 204: { description: 'It is not trusted.' } },
      async answer({ caller, params, requestId }) {
        await anchors.remove(caller, parseId(params), requestId)
        return { status: 204 }
      },
    }),
  ]
}

function toAnchorJson(row: TrustAnchorRow): z.output<typeof anchorJson> {
  const { id, label = null, createdAt, removedAt = null, fingerprint } = row
  const shown = { format: row.format, kind: row.kind, lookupId: row.lookupId, der: row.der }
  return { id, ...shown, fingerprint: Buffer.from(fingerprint).toString('hex'), label, createdAt, removedAt }
}
