import { z } from 'zod'
import { anchoredFormats } from '../../protocol/attestation/trust-anchor-wish.ts'
import { displayName } from '../../protocol/enrollment.ts'
import { json, timestamp, uuid } from '../../protocol/wire.ts'
import { pageOf, pageQuery, toPage } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { ReferenceValues, ShownReferenceValue } from '../services/reference-values.ts'
import { parseId } from './ids.ts'

const MAX_BODY_BYTES = 512 << 10
const MAX_VALUES = 64

const referenceValueWish = z
  .strictObject({
    format: z.enum(anchoredFormats),
    name: displayName.meta({ description: 'what policies call it; values of one name are alternatives' }),
    values: z
      .array(json)
      .min(1)
      .max(MAX_VALUES)
      .meta({ description: 'of the schema of the format: docs/attestation-formats.md' }),
  })
  .meta({ id: 'ReferenceValueWish' })

const referenceValueJson = z
  .strictObject({
    id: uuid,
    format: z.enum(anchoredFormats),
    name: z.string(),
    value: json.meta({ description: 'null where it is not genuine' }),
    valueHash: z.string().meta({ description: 'SHA-256 of its canonical JSON, in hexadecimal' }),
    isGenuine: z.boolean().meta({ description: 'false: somebody wrote to the database, and it counts for nothing' }),
    createdAt: timestamp,
    removedAt: timestamp.nullable(),
  })
  .meta({ id: 'ReferenceValue' })

const addedJson = z.strictObject({
  items: z.array(z.strictObject({ isNew: z.boolean(), referenceValue: referenceValueJson })),
})

const listQuery = z.strictObject({
  ...pageQuery,
  format: z.enum(anchoredFormats).optional(),
  name: displayName.optional(),
})

export function referenceValueRoutes(values: ReferenceValues): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/reference-values',
      access: 'operator',
      summary: 'Add what evidence is compared with: all of the values, or none',
      body: referenceValueWish,
      maxBodyBytes: MAX_BODY_BYTES,
      answers: {
        200: { description: 'They were there already.', body: addedJson },
        201: {
          description: 'They are there, in the order of the request; `isNew` says which were not before.',
          body: addedJson,
        },
      },
      async answer({ caller, body, requestId, weigh }) {
        await weigh(body.values.length)
        const added = await values.add(caller, body, requestId)
        const items = added.map(({ referenceValue, isNew }) => ({ isNew, referenceValue: toJson(referenceValue) }))
        if (added.some(({ isNew }) => isNew)) return { status: 201, body: { items } }
        return { status: 200, body: { items } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/reference-values',
      access: 'operator',
      summary: 'List reference values, newest first, without those that are removed',
      query: listQuery,
      answers: { 200: { description: 'A page of reference values.', body: pageOf(referenceValueJson) } },
      async answer({ caller, query: { limit, cursor, format, name } }) {
        const page = toPage(await values.list(caller, { limit: limit + 1, beforeId: cursor, format, name }), limit)
        return { status: 200, body: { ...page, items: page.items.map(toJson) } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/reference-values/:id',
      access: 'operator',
      summary: 'Show a reference value, also one that is removed',
      answers: { 200: { description: 'The reference value.', body: referenceValueJson } },
      async answer({ caller, params }) {
        return { status: 200, body: toJson(await values.get(caller, parseId(params))) }
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/reference-values/:id',
      access: 'operator',
      summary: 'Remove a reference value: evidence is compared without it from then on',
      answers: { 204: { description: 'It is removed, or was before.' } },
      async answer({ caller, params, requestId }) {
        await values.remove(caller, parseId(params), requestId)
        return { status: 204 }
      },
    }),
  ]
}

function toJson({ format, removedAt, ...value }: ShownReferenceValue): z.input<typeof referenceValueJson> {
  return { ...value, format: z.enum(anchoredFormats).parse(format), removedAt: removedAt ?? null }
}
