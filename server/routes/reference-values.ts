import { z } from 'zod'
import { evidenceFormatNames } from '../../protocol/attestation/evidence-format.ts'
import { displayName } from '../../protocol/enrollment.ts'
import { json, timestamp, uuid } from '../../protocol/wire.ts'
import { pageOf, pageQuery, toPage } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { ReferenceValueRow, ReferenceValues } from '../services/reference-values.ts'
import { parseId } from './ids.ts'

const MAX_VALUES = 200
const MAX_BODY_BYTES = 1_048_576

const format = z.enum(evidenceFormatNames)

const valueWish = z
  .strictObject({
    format,
    name: displayName.meta({ description: 'by which policies name it; many values may have one name' }),
    values: z.array(json).min(1).max(MAX_VALUES).meta({ description: 'of the format: docs/attestation-formats.md' }),
  })
  .meta({ id: 'ReferenceValueWish' })

const valueJson = z
  .strictObject({
    id: uuid,
    format,
    name: z.string(),
    value: json,
    fingerprint: z.string().meta({ description: 'SHA-256 of its canonical JSON, hex' }),
    createdAt: timestamp,
    removedAt: timestamp.nullable(),
  })
  .meta({ id: 'ReferenceValue' })
const valuesJson = z.strictObject({ items: z.array(valueJson).meta({ description: 'in the order asked' }) })

const listQuery = z.strictObject({
  ...pageQuery,
  format: format.optional(),
  name: displayName.optional(),
  removed: z.literal('true').optional().meta({ description: 'those that were removed, too' }),
})

export function referenceValueRoutes(referenceValues: ReferenceValues): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/reference-values',
      access: 'operator',
      summary: 'Expect values of platforms; the same again changes nothing',
      body: valueWish,
      maxBodyBytes: MAX_BODY_BYTES,
      answers: { 201: { description: 'The reference values, all of them.', body: valuesJson } },
      async answer({ caller, body, requestId }) {
        const items = await referenceValues.add(caller, body, requestId)
        return { status: 201, body: { items: items.map(toJson) } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/reference-values',
      access: 'operator',
      summary: 'List reference values, newest first',
      query: listQuery,
      answers: { 200: { description: 'A page of reference values.', body: pageOf(valueJson) } },
      async answer({ caller, query }) {
        const { limit, cursor: beforeId, format: ofFormat, name, removed } = query
        const wanted = { limit: limit + 1, beforeId, format: ofFormat, name, withRemoved: removed === 'true' }
        const page = toPage(await referenceValues.list(caller, wanted), limit)
        return { status: 200, body: { ...page, items: page.items.map(toJson) } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/reference-values/:id',
      access: 'operator',
      summary: 'Show a reference value',
      answers: { 200: { description: 'The reference value.', body: valueJson } },
      async answer({ caller, params }) {
        return { status: 200, body: toJson(await referenceValues.get(caller, parseId(params))) }
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/reference-values/:id',
      access: 'operator',
      summary: 'Expect it no more; a device that it vouched for is judged without it at its next attestation',
      answers: { 204: { description: 'It is expected no more.' } },
      async answer({ caller, params, requestId }) {
        await referenceValues.remove(caller, parseId(params), requestId)
        return { status: 204 }
      },
    }),
  ]
}

function toJson(row: ReferenceValueRow): z.input<typeof valueJson> {
  const { id, name, createdAt, removedAt = null } = row
  const fingerprint = Buffer.from(row.fingerprint).toString('hex')
  return { id, format: row.format, name, value: JSON.parse(row.body), fingerprint, createdAt, removedAt }
}
