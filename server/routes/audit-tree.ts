import { z } from 'zod'
import { concatenate } from '../../protocol/encoding.ts'
import { HASH_BYTES } from '../../protocol/log/merkle.ts'
import { parseTilePath } from '../../protocol/log/tiles.ts'
import { bytes } from '../../protocol/wire.ts'
import { ServiceError } from '../errors.ts'
import { decimal } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { AuditLog } from '../services/audit-log.ts'

const checkpointQuery = z.strictObject({
  witnessed: z.literal('true').optional().meta({ description: 'the newest that witnesses have signed' }),
})

const consistencyQuery = z.strictObject({
  from: decimal.meta({ description: 'the size of the older tree', type: 'integer' }),
  to: decimal.optional().meta({ description: 'of the newer; the published size without it', type: 'integer' }),
})

const consistencyProof = z
  .strictObject({ from: z.int().min(0), to: z.int().min(0), hashes: z.array(bytes(HASH_BYTES)) })
  .meta({ id: 'ConsistencyProof' })

/** For anyone: hashes alone, in the forms of C2SP tlog-checkpoint and tlog-tiles, whose base is /v1/audit. */
export function auditTreeRoutes(auditLog: AuditLog): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/audit/checkpoint',
      access: 'anyone',
      queue: 'open_work',
      summary: 'The newest checkpoint of the audit log (C2SP tlog-checkpoint)',
      query: checkpointQuery,
      answers: { 200: { description: 'A signed note.', contentType: 'text/plain' } },
      async answer({ query }) {
        const { note } = await auditLog.getCheckpoint(query.witnessed === 'true')
        return { status: 200, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: note }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/audit/consistency',
      access: 'anyone',
      queue: 'open_work',
      summary: 'Prove that a tree of the log continues an older one (RFC 6962)',
      query: consistencyQuery,
      answers: { 200: { description: 'The proof.', body: consistencyProof } },
      async answer({ query: { from, to } }) {
        const proof = await auditLog.proveConsistency(from, to)
        return { status: 200, body: z.encode(consistencyProof, { from, ...proof }) }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/audit/tile/*path',
      access: 'anyone',
      queue: 'open_work',
      summary: 'Hashes of the tree (C2SP tlog-tiles): <L>/<N>, or <L>/<N>.p/<W>',
      answers: { 200: { description: '32 bytes for each hash.', contentType: 'application/octet-stream' } },
      async answer({ params }) {
        const tile = parseTilePath(params.path ?? '')
        if (tile === undefined) throw new ServiceError('not_found', 'This is no path of a tile.')
        const hashes = await auditLog.readTile(tile, tile.width)
        const headers = {
          'content-type': 'application/octet-stream',
          // It never changes: the log is append-only, and so are its tiles.
          'cache-control': 'public, max-age=31536000, immutable',
        }
        return { status: 200, headers, body: concatenate(hashes) }
      },
    }),
  ]
}
