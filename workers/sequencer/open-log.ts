import type { Database, Tx } from '../../database/open.ts'
import { type AuditLogState, takeOverLog } from '../../database/repositories/audit-log.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  findNewestCheckpoint,
  isBeforeFirstEvent,
  readTiles,
  tileKey,
} from '../../database/repositories/audit-reader.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { type VerifiedCheckpoint, verifyCheckpoint } from '../../protocol/log/checkpoint.ts'
import type { TreeHead } from '../../protocol/log/merkle.ts'
import { hashRange, tilesOfRanges } from '../../protocol/log/proofs.ts'
import type { VerifierKey } from '../../protocol/log/verifier-key.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import { readCheckpointFile, removeLeftDrafts } from '../../runtime/checkpoint-file.ts'
import { newId } from '../../runtime/ids.ts'
import { AuditLogError } from './audit-log-error.ts'
import { createTreeWriter, type TreeWriter, tailPlaces } from './tree-writer.ts'

export interface OpenedLog {
  state: AuditLogState
  tree: TreeWriter
  /** When the newest checkpoint that is known was signed; milliseconds since the Unix epoch. */
  signedAt: number
}

export interface OpenLogParts {
  database: Database
  crypto: Primitives
  writeEvent: WriteEvent
  /** Keys that may have signed the checkpoint in the file. */
  keys: readonly VerifierKey[]
  checkpointFile: string
  /** The operator knows that the checkpoint file is lost; an event says that he said so. */
  acceptLostCheckpoint: boolean
}

/**
 * Becomes the sequencer of the log, in one transaction that fails with AuditLogError when the log is not the one whose checkpoints
 * were signed: behind the checkpoint file, or with another tree than the file or the newest stored checkpoint say.
 */
export async function openLog(parts: OpenLogParts, now: number): Promise<OpenedLog> {
  await removeLeftDrafts(parts.checkpointFile)
  const fromFile = await readSignedFile(parts)
  return parts.database.withOrganization(NIL_UUID, async (tx) => {
    const state = await takeOverLog(tx)
    const stored = await findNewestCheckpoint(tx)
    const isBegun = state.size > 0 || !(await isBeforeFirstEvent(tx))
    if (fromFile === undefined && isBegun) await acceptLoss(parts, tx, state, now)
    for (const [where, head] of Object.entries({ 'checkpoint file': fromFile, database: stored })) {
      if (head !== undefined) await requireSameTree(parts, tx, state, head, where)
    }
    const tails = await readTiles(tx, tailPlaces(state.size))
    const tree = openTree(parts.crypto, state, tails)
    return { state, tree, signedAt: Math.max(0, fromFile?.signedAt ?? 0, stored?.signedAt ?? 0) }
  })
}

async function readSignedFile({ crypto, keys, checkpointFile }: OpenLogParts): Promise<VerifiedCheckpoint | undefined> {
  const text = await readCheckpointFile(checkpointFile)
  if (text === undefined) return undefined
  try {
    return verifyCheckpoint(crypto, text, { log: keys })
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause
    throw new AuditLogError(
      'log_rollback',
      `${checkpointFile} holds no checkpoint of this log: ${cause.message} Is it the file, and the database, of this service?`,
      { cause },
    )
  }
}

async function acceptLoss(parts: OpenLogParts, tx: Tx, { size }: AuditLogState, now: number): Promise<void> {
  if (!parts.acceptLostCheckpoint) {
    throw new AuditLogError(
      'checkpoint_lost',
      `The log has ${size} entries, but ${parts.checkpointFile}, which holds its newest checkpoint, is missing: without it nobody` +
        ' can tell whether this database is an older one. Bring the file back. If it is lost, compare the log with a checkpoint' +
        ' that an auditor or a witness has, and start once with --accept-lost-checkpoint; the log will say so.',
    )
  }
  const event = parts.writeEvent(
    {
      organizationId: NIL_UUID,
      actor: { type: 'service', id: NIL_UUID },
      type: 'audit_log.checkpoint_lost',
      subject: {},
      data: { logSize: size },
      requestId: newId(),
    },
    now,
  )
  await insertEvents(tx, [event])
}

async function requireSameTree(
  { crypto, checkpointFile }: OpenLogParts,
  tx: Tx,
  { size }: AuditLogState,
  head: TreeHead,
  where: string,
): Promise<void> {
  const advice =
    ` Its history is not the one that was signed. Bring the right database back; if it is lost, move ${checkpointFile} to a safe` +
    ' place and start once with --accept-lost-checkpoint; auditors will see that the log was forked.'
  if (head.size > size) {
    throw new AuditLogError(
      'log_rollback',
      `The log in the database has ${size} entries, but a checkpoint of ${head.size} was signed (${where}).${advice}`,
    )
  }
  const range = { start: 0, end: head.size }
  const tiles = await readTiles(tx, tilesOfRanges([range]))
  try {
    const root = hashRange(crypto, (place) => tiles.get(tileKey(place)) ?? [], range)
    if (crypto.equal(root, head.root)) return
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
  }
  throw new AuditLogError(
    'log_rollback',
    `The first ${head.size} entries of the log in the database are not those of its signed checkpoint (${where}).${advice}`,
  )
}

function openTree(crypto: Primitives, { size }: AuditLogState, tails: Map<string, Uint8Array[]>): TreeWriter {
  try {
    return createTreeWriter(crypto, size, (place) => tails.get(tileKey(place)) ?? [])
  } catch (cause) {
    if (!(cause instanceof ProtocolError)) throw cause
    throw new AuditLogError('log_rollback', `Hashes of the log are missing: ${cause.message}`, { cause })
  }
}
