import type { Database } from '../database/open.ts'
import {
  countBeyond,
  listCheckpoints,
  listEventIndexes,
  listStoredEntries,
} from '../database/repositories/audit-check.ts'
import { findRemovedRanges, getLogState, readTiles, tileKey } from '../database/repositories/audit-reader.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { type Checkpoint, parseCheckpointBody, verifyCheckpoint } from '../protocol/log/checkpoint.ts'
import { createLogCheck, type Difference } from '../protocol/log/log-check.ts'
import { parseNote } from '../protocol/log/signed-note.ts'
import { TILE_WIDTH, tilesOf, tileWidth } from '../protocol/log/tiles.ts'
import type { VerifierKey } from '../protocol/log/verifier-key.ts'
import type { Primitives } from '../protocol/primitives.ts'

/** More of them say nothing new. */
const MAX_DIFFERENCES = 100

export interface LogCheckReport {
  size: number
  publishedSize: number
  checkpoints: number
  /** The first hundred. */
  differences: Difference[]
}

/**
 * Reads the whole stored log, of all organizations, and compares it with itself and with everything that was signed: entries with
 * their hashes, what they are filed under and where, every tile with those below it, every checkpoint with the tree of its size
 * and with the keys. While a service appends to it, it reads as far as the log was when it began.
 */
export async function checkAuditLog(parts: {
  /** As qflare_sequencer. */
  database: Database
  crypto: Primitives
  keys: readonly VerifierKey[]
  checkpointFile: string | undefined
  signal: AbortSignal
  onProgress: (done: number, total: number) => void
}): Promise<LogCheckReport> {
  const { database, crypto, keys } = parts
  const { state, checkpoints, removed } = await database.withoutOrganization(async (tx) => ({
    state: await getLogState(tx),
    checkpoints: await listCheckpoints(tx),
    removed: await findRemovedRanges(tx),
  }))
  const { size } = state
  const fromFile = parts.checkpointFile === undefined ? [] : [parts.checkpointFile]
  const differences = [...checkpoints.map(({ note }) => note), ...fromFile].flatMap((note) =>
    checkNote(crypto, keys, note),
  )
  // A newer one was signed while this reads.
  const fileHeads = fromFile.flatMap(headOf).filter((head) => head.size <= size)
  const check = createLogCheck(crypto, size, [...checkpoints.filter((head) => head.size <= size), ...fileHeads])
  const isRemoved = (index: number) => removed.some(({ start, end }) => index >= start && index < end)
  for (const place of tilesOf(size)) {
    parts.signal.throwIfAborted()
    if (differences.length >= MAX_DIFFERENCES) break
    const { level, tile, width } = place
    const range = { start: tile * TILE_WIDTH, end: tile * TILE_WIDTH + width }
    const stored = await database.withoutOrganization(async (tx) => ({
      hashes: (await readTiles(tx, [place])).get(tileKey(place))?.slice(0, tileWidth(place, size)) ?? [],
      entries: level === 0 ? await listStoredEntries(tx, range) : [],
      indexOf: level === 0 ? await listEventIndexes(tx, range) : new Map<string, number>(),
    }))
    if (level > 0) differences.push(...check.checkTile(place, stored.hashes))
    else {
      differences.push(...check.checkPage({ tile, ...stored, isRemoved }))
      parts.onProgress(range.end, size)
    }
  }
  if (differences.length === 0) {
    differences.push(...check.finish())
    differences.push(...(await findBeyond(database, size)))
  }
  const { publishedSize } = state
  return { size, publishedSize, checkpoints: checkpoints.length, differences: differences.slice(0, MAX_DIFFERENCES) }
}

function headOf(note: string): Checkpoint[] {
  try {
    return [parseCheckpointBody(parseNote(note).body)]
  } catch (error) {
    if (error instanceof ProtocolError) return []
    throw error
  }
}

function checkNote(crypto: Primitives, keys: readonly VerifierKey[], note: string): Difference[] {
  try {
    verifyCheckpoint(crypto, note, { log: keys })
    return []
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return [{ index: undefined, what: `a checkpoint is not one of this log: ${error.message}` }]
  }
}

/** A running service appends whole batches; behind the log as it is now there is nothing. */
async function findBeyond(database: Database, size: number): Promise<Difference[]> {
  const beyond = await database.withoutOrganization(async (tx) => {
    const now = await getLogState(tx)
    return { ...(await countBeyond(tx, now.size)), size: now.size }
  })
  const rows = Object.entries(beyond).filter(([name, count]) => name !== 'size' && count > 0)
  return beyond.size < size || rows.length > 0
    ? [
        {
          index: beyond.size,
          what: `there are rows behind the end of the log: ${rows.map(([name]) => name).join(', ')}`,
        },
      ]
    : []
}
