import { z } from 'zod'
import { HASH_BYTES } from '../protocol/log/merkle.ts'
import { bytes, json, timestamp, uuid } from '../protocol/wire.ts'

// What the server answers an auditor (docs/api.md). Members that are not known here are kept: an event is hashed as a whole.

const members = z.record(z.string(), json)

/** Of `type` and `severity`, a newer server has more than this side knows. */
export const auditEvent = z
  .object({
    id: uuid,
    at: timestamp,
    organizationId: uuid,
    actor: z.looseObject({ type: z.string(), id: z.string() }),
    type: z.string(),
    severity: z.string(),
    subject: members,
    data: members,
    requestId: z.string(),
  })
  .catchall(json)
export type LoggedEvent = z.output<typeof auditEvent>

/** `index`: its place in the log. */
export const indexedEvent = z.looseObject({ index: z.int().min(0), event: auditEvent })
export type IndexedEvent = z.output<typeof indexedEvent>

/** Of a tree of 2^53 leaves, and to spare. */
const MAX_HASHES = 128
export const consistencyAnswer = z.looseObject({
  from: z.int().min(0),
  to: z.int().min(0),
  hashes: z.array(bytes(HASH_BYTES)).max(MAX_HASHES),
})
export type ConsistencyProof = z.output<typeof consistencyAnswer>
