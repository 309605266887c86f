import { z } from 'zod'
import { collateralWish, MAX_CHAIN } from '../../protocol/attestation/collateral-wish.ts'
import { collateralKinds, MAX_COLLATERAL_BYTES } from '../../protocol/attestation/evidence-format.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { bytesWithin, timestamp, uuid } from '../../protocol/wire.ts'
import { pageOf, pageQuery, toPage } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { CollateralService, ShownCollateral } from '../services/collateral.ts'
import { parseId } from './ids.ts'

/** A body in base64url, and its chain. */
const MAX_BODY_BYTES = Math.ceil((MAX_COLLATERAL_BYTES * 4) / 3) + (128 << 10)

const factsJson = {
  id: uuid,
  kind: z.enum(collateralKinds),
  lookupId: z
    .string()
    .meta({ description: 'how evidence names it: `crl:` and the SHA-256 of a DER name, or as its kind says' }),
  name: z.string(),
  issuedAt: timestamp,
  nextUpdateAt: timestamp
    .nullable()
    .meta({ description: 'from then on it is out of date; null: its kind names no end' }),
  bodyHash: z.string().meta({ description: 'SHA-256 of the body, in hexadecimal' }),
  bodyBytes: z.int(),
  isGenuine: z.boolean().meta({ description: 'false: somebody wrote to the database, and it counts for nothing' }),
  createdAt: timestamp,
  removedAt: timestamp.nullable(),
}
const collateralJson = z.strictObject(factsJson).meta({ id: 'Collateral' })
const wholeCollateralJson = z
  .strictObject({
    ...factsJson,
    body: bytesWithin(1, MAX_COLLATERAL_BYTES),
    chain: z.array(bytesWithin(1, 8192)).max(MAX_CHAIN).meta({ description: 'certificates in DER' }),
  })
  .meta({ id: 'WholeCollateral' })

const addedJson = z.strictObject({ isNew: z.boolean(), collateral: collateralJson })
const listQuery = z.strictObject({ ...pageQuery, kind: z.enum(collateralKinds).optional() })

export function collateralRoutes(collateral: CollateralService): Route[] {
  return [
    defineRoute({
      method: 'post',
      path: '/v1/collateral',
      access: 'operator',
      summary: 'Import a revocation list or a statement of a vendor, in the place of an older one',
      body: collateralWish,
      maxBodyBytes: MAX_BODY_BYTES,
      answers: {
        200: { description: 'It was there already.', body: addedJson },
        201: { description: 'It is there, and the one before it is not.', body: addedJson },
      },
      async answer({ caller, body, requestId }) {
        const { isNew, collateral: added } = await collateral.add(caller, body, requestId)
        return { status: isNew ? 201 : 200, body: { isNew, collateral: toJson(added) } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/collateral',
      access: 'operator',
      summary: 'List collateral, newest first, without that which is removed',
      query: listQuery,
      answers: { 200: { description: 'A page of collateral, without bodies.', body: pageOf(collateralJson) } },
      async answer({ caller, query: { limit, cursor, kind } }) {
        const page = toPage(await collateral.list(caller, { limit: limit + 1, beforeId: cursor, kind }), limit)
        return { status: 200, body: { ...page, items: page.items.map(toJson) } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/collateral/:id',
      access: 'operator',
      summary: 'Show collateral with its body, also when it is removed',
      answers: { 200: { description: 'The collateral.', body: wholeCollateralJson } },
      async answer({ caller, params }) {
        const { body, ...shown } = await collateral.get(caller, parseId(params))
        const chain = shown.chain.map(toBase64url)
        return { status: 200, body: { ...toJson(shown), body: toBase64url(body), chain } }
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/collateral/:id',
      access: 'operator',
      summary: 'Remove collateral: evidence is appraised without it from then on',
      answers: { 204: { description: 'It is removed, or was before.' } },
      async answer({ caller, params, requestId }) {
        await collateral.remove(caller, parseId(params), requestId)
        return { status: 204 }
      },
    }),
  ]
}

function toJson(row: ShownCollateral): z.input<typeof collateralJson> {
  const { id, kind, lookupId, name, issuedAt, bodyBytes, isGenuine, createdAt } = row
  return {
    id,
    kind,
    lookupId,
    name,
    issuedAt,
    bodyBytes,
    isGenuine,
    createdAt,
    bodyHash: Buffer.from(row.bodyHash).toString('hex'),
    nextUpdateAt: row.nextUpdateAt ?? null,
    removedAt: row.removedAt ?? null,
  }
}
