import { z } from 'zod'
import { anchoredFormats, trustAnchorWish } from '../../protocol/attestation/trust-anchor-wish.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { bytesWithin, timestamp, uuid } from '../../protocol/wire.ts'
import { pageOf, pageQuery, toPage } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { ShownTrustAnchor, TrustAnchors } from '../services/trust-anchors.ts'
import { parseId } from './ids.ts'

/** 500 keys with their names. */
const MAX_BODY_BYTES = 512 << 10

const kinds = ['root', 'intermediate', 'key'] as const

const trustAnchorJson = z
  .strictObject({
    id: uuid,
    format: z.enum(anchoredFormats),
    kind: z.enum(kinds),
    lookupId: z.string().meta({
      description: 'how evidence names it: `subject:` and the SHA-256 of a DER name, or `psa:` and an instance id',
    }),
    name: z.string(),
    fingerprint: z.string().meta({ description: 'SHA-256 of the DER, in hexadecimal' }),
    der: bytesWithin(1, 8192).meta({ description: 'a certificate, or the SubjectPublicKeyInfo of a key' }),
    isGenuine: z.boolean().meta({ description: 'false: somebody wrote to the database, and it counts for nothing' }),
    createdAt: timestamp,
    removedAt: timestamp.nullable(),
  })
  .meta({ id: 'TrustAnchor' })

const addedJson = z.strictObject({
  items: z.array(z.strictObject({ isNew: z.boolean(), trustAnchor: trustAnchorJson })),
})

const listQuery = z.strictObject({
  ...pageQuery,
  format: z.enum(anchoredFormats).optional(),
  kind: z.enum(kinds).optional(),
})

export function trustAnchorRoutes(anchors: TrustAnchors): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/trust-anchors',
      access: 'operator',
      summary: 'Trust certificates of authorities, or keys of devices: all of them, or none',
      body: trustAnchorWish,
      maxBodyBytes: MAX_BODY_BYTES,
      answers: {
        200: { description: 'They were there already.', body: addedJson },
        201: {
          description: 'They are there, in the order of the request; `isNew` says which were not before.',
          body: addedJson,
        },
      },
      async answer({ caller, body, requestId, weigh }) {
        if (body.format === 'psa') await weigh(body.keys.length)
        const added = await anchors.add(caller, body, requestId)
        if (body.format !== 'psa') await weigh(added.length)
        const items = added.map(({ anchor, isNew }) => ({ isNew, trustAnchor: toJson(anchor) }))
        if (added.some(({ isNew }) => isNew)) return { status: 201, body: { items } }
        return { status: 200, body: { items } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/trust-anchors',
      access: 'operator',
      summary: 'List trust anchors, newest first, without those that are removed',
      query: listQuery,
      answers: { 200: { description: 'A page of trust anchors.', body: pageOf(trustAnchorJson) } },
      async answer({ caller, query: { limit, cursor, format, kind } }) {
        const found = await anchors.list(caller, { limit: limit + 1, beforeId: cursor, format, kind })
        const page = toPage(found, limit)
        return { status: 200, body: { ...page, items: page.items.map(toJson) } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/trust-anchors/:id',
      access: 'operator',
      summary: 'Show a trust anchor, also one that is removed',
      answers: { 200: { description: 'The trust anchor.', body: trustAnchorJson } },
      async answer({ caller, params }) {
        return { status: 200, body: toJson(await anchors.get(caller, parseId(params))) }
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/trust-anchors/:id',
      access: 'operator',
      summary: 'Remove a trust anchor: what leads to it alone is refused at its next attestation',
      answers: { 204: { description: 'It is removed, or was before.' } },
      async answer({ caller, params, requestId }) {
        await anchors.remove(caller, parseId(params), requestId)
        return { status: 204 }
      },
    }),
  ]
}

function toJson(anchor: ShownTrustAnchor): z.input<typeof trustAnchorJson> {
  const { format, der, removedAt, ...shown } = anchor
  return {
    ...shown,
    format: z.enum(anchoredFormats).parse(format),
    der: toBase64url(der),
    removedAt: removedAt ?? null,
  }
}
