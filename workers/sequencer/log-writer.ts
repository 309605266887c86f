import { DatabaseError } from '../../database/errors.ts'
import type { Database } from '../../database/open.ts'
import {
  appendBatch,
  findLoggedEvents,
  insertCheckpoint,
  type LogEntry,
  listOutbox,
  makeAuditPartition,
  type OutboxEntry,
  publishCheckpoint,
} from '../../database/repositories/audit-log.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { parseCheckpointBody } from '../../protocol/log/checkpoint.ts'
import { leafHash, type TreeHead } from '../../protocol/log/merkle.ts'
import { parseNote } from '../../protocol/log/signed-note.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import { readCheckpointFile, writeCheckpointFile } from '../../runtime/checkpoint-file.ts'
import type { Clock } from '../../runtime/clock.ts'
import { newId } from '../../runtime/ids.ts'
import type { OpenedLog } from './open-log.ts'
import { readOutboxEntry } from './read-outbox-entry.ts'
import type { CheckpointSigner } from './sign-checkpoint.ts'

/** Events that one batch has at most (docs/protocol.md §7). */
export const MAX_BATCH = 256
/** How far ahead of the log its next partition is made. */
const PARTITION_AHEAD = 65_536

/** What was just done with a batch. */
export type WriterStep = 'taken' | 'appended' | 'signed' | 'committed' | 'written' | 'published'

export interface LogWriterParts {
  database: Database
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  signer: CheckpointSigner
  origin: string
  checkpointFile: string
  /** Told of each step, and waited for. */
  onStep?: ((step: WriterStep) => Promise<void>) | undefined
}

export interface AppendedBatch {
  entries: readonly LogEntry[]
  /** Rows of the outbox that were no events of ours. */
  refused: number
}

/**
 * The one writer of the log, from the moment it was opened until anything fails: its memory is then no longer known to be what is
 * stored, and the log has to be opened again.
 */
export interface LogWriter {
  size(): number
  /** When it last signed; milliseconds since the Unix epoch. */
  signedAt(): number
  /** Takes at most `MAX_BATCH` events from the outbox into the log; none when it is empty. */
  append(): Promise<AppendedBatch>
  /** Signs what is appended, commits the checkpoint, writes it to its file, then lets readers see it: in this order. */
  publish(): Promise<void>
}

export function createLogWriter(parts: LogWriterParts, { state, tree, signedAt: lastSignedAt }: OpenedLog): LogWriter {
  const { database, crypto, origin } = parts
  const { epoch, partitionEntries } = state
  const onStep = parts.onStep ?? (async () => {})
  let signedAt = lastSignedAt
  let partitionsUpTo = 0

  async function makePartitions(): Promise<void> {
    const ahead = tree.size() + Math.max(MAX_BATCH, Math.min(PARTITION_AHEAD, partitionEntries / 2))
    while (partitionsUpTo <= ahead) {
      const from = Math.max(partitionsUpTo, tree.size() - (tree.size() % partitionEntries))
      await database.withoutOrganization((tx) => makeAuditPartition(tx, from))
      partitionsUpTo = from - (from % partitionEntries) + partitionEntries
    }
  }

  /** A key that was retired in between signs nothing that is stored: the one that follows it does, between two checkpoints. */
  async function signAndStore(head: TreeHead, timestampSeconds: number): Promise<{ id: number; note: string }> {
    const { note, kids } = await parts.signer.sign({ origin, ...head }, timestampSeconds)
    await onStep('signed')
    try {
      return {
        id: await insertCheckpoint(database, { epoch, ...head, signedAt: timestampSeconds * 1000, note, kids }),
        note,
      }
    } catch (error) {
      const isRefused = error instanceof DatabaseError && error.code === 'condition_failed'
      if (!isRefused || !(await parts.signer.isReplaced(kids))) throw error
      return signAndStore(head, timestampSeconds)
    }
  }

  return {
    size: () => tree.size(),
    signedAt: () => signedAt,

    async append() {
      const rows = await listOutbox(database, MAX_BATCH)
      if (rows.length === 0) return { entries: [], refused: 0 }
      const logged = await findLoggedEvents(
        database,
        rows.map(({ eventId }) => eventId),
      )
      const read = rows.map((row) =>
        logged.has(row.eventId) ? { refused: 'It is in the log already.' } : readOutboxEntry(row),
      )
      const entries = read.map((entry, at) =>
        'refused' in entry ? refusalEntry(parts, rows[at] as OutboxEntry, entry.refused) : entry,
      )
      await onStep('taken')
      await makePartitions()
      const size = tree.size()
      const leaves = entries.map(({ entry }) => leafHash(crypto, new TextEncoder().encode(entry)))
      const tiles = tree.append(leaves)
      await appendBatch(database, { epoch, size, entries, tiles, taken: rows.map(({ eventId }) => eventId) })
      await onStep('appended')
      return { entries, refused: read.filter((entry) => 'refused' in entry).length }
    },

    async publish() {
      // Never earlier than the one before: a reader takes the newest time for the newest tree.
      const timestampSeconds = Math.floor(Math.max(parts.clock.now(), signedAt) / 1000)
      const head = { size: tree.size(), root: tree.root() }
      const { id, note } = await signAndStore(head, timestampSeconds)
      await onStep('committed')
      await requireNotBehind(parts.checkpointFile, head.size)
      await writeCheckpointFile(parts.checkpointFile, note)
      await onStep('written')
      await publishCheckpoint(database, { epoch, id, size: head.size })
      signedAt = timestampSeconds * 1000
      await onStep('published')
    },
  }
}

/** Who took over meanwhile may have written more: what the file knows is never taken back. */
async function requireNotBehind(path: string, size: number): Promise<void> {
  const written = await readCheckpointFile(path)
  if (written === undefined) return
  const newer = parseCheckpointBody(parseNote(written).body).size
  if (newer > size)
    throw new Error(`The checkpoint file has ${newer} entries already: this is no longer the sequencer.`)
}

/** In the place of a row that is no event of ours: the log goes on, and says what it did not take. */
function refusalEntry({ crypto, writeEvent, clock }: LogWriterParts, row: OutboxEntry, reason: string): LogEntry {
  const entryHash = toBase64url(crypto.hash256(new TextEncoder().encode(row.entry)))
  const event = writeEvent(
    {
      organizationId: NIL_UUID,
      actor: { type: 'service', id: NIL_UUID },
      type: 'audit_log.entry_refused',
      subject: { eventId: row.eventId, organizationId: row.organizationId },
      data: { reason, entryHash },
      requestId: newId(),
    },
    clock.now(),
  )
  const read = readOutboxEntry(event)
  if ('refused' in read) throw new Error(`An event of the sequencer’s own is none: ${read.refused}`)
  return read
}
