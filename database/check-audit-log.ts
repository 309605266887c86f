import { createLogCheck, type Difference, type LogCheck, tilesBottomUp } from '../protocol/log/log-check.ts'
import { TILE_WIDTH, type TilePlace } from '../protocol/log/tiles.ts'
import type { VerifierKey } from '../protocol/log/verifier-key.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { checkLogHeads } from './check-log-heads.ts'
import { checkRemovedEntries } from './check-removed-entries.ts'
import type { Database } from './open.ts'
import { countBeyond, listEventIds, listStoredEntries } from './repositories/audit-check.ts'
import { readTiles, tileKey } from './repositories/audit-reader.ts'

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
  /** Gives undefined where it is missing; is undefined where this machine is not the one that has it. */
  readCheckpointFile: (() => Promise<string | undefined>) | undefined
  signal: AbortSignal
  /** What it throws ends the reading. */
  onProgress: (done: number, total: number) => void | Promise<void>
}): Promise<LogCheckReport> {
  const { database, crypto, signal } = parts
  const { state, checkpoints, heads, differences } = await checkLogHeads(parts)
  const { size, publishedSize } = state
  const check = createLogCheck(crypto, size, heads)
  const inTree: Difference[] = []
  const countFound = () => inTree.length + check.missing().length
  for (const place of tilesBottomUp(size)) {
    signal.throwIfAborted()
    if (countFound() >= MAX_DIFFERENCES) break
    inTree.push(...(await checkStored(database, check, place)))
    if (place.level === 0) await parts.onProgress(place.tile * TILE_WIDTH + place.width, size)
  }
  differences.push(...inTree, ...(await checkRemovedEntries(database, check.missing(), signal)))
  // After a difference in a tile there is no tree to compare; nor is there where not all was read.
  if (inTree.length === 0 && countFound() < MAX_DIFFERENCES) differences.push(...check.finish())
  differences.push(...(await findBeyond(database, size)))
  return { size, publishedSize, checkpoints, differences: differences.slice(0, MAX_DIFFERENCES) }
}

async function checkStored(
  database: Database,
  check: LogCheck,
  place: TilePlace & { width: number },
): Promise<Difference[]> {
  const { level, tile, width } = place
  const range = { start: tile * TILE_WIDTH, end: tile * TILE_WIDTH + width }
  return database.withoutOrganization(async (tx) => {
    const hashes = (await readTiles(tx, [place])).get(tileKey(place))?.slice(0, width) ?? []
    if (level > 0) return check.checkTile(place, hashes)
    const entries = await listStoredEntries(tx, range)
    return check.checkPage({ tile, hashes, entries, events: await listEventIds(tx, range) })
  })
}

/** A running service appends whole batches; behind the log as it is now there is nothing. */
async function findBeyond(database: Database, size: number): Promise<Difference[]> {
  const { size: now, ...counts } = await database.withoutOrganization(countBeyond)
  const names = Object.entries(counts).flatMap(([name, count]) => (count > 0 ? [name] : []))
  return [
    ...(now < size ? [{ index: now, what: `is the end of the log, which had ${size} entries before` }] : []),
    ...(names.length > 0
      ? [{ index: now, what: `there are rows behind the end of the log: ${names.join(', ')}` }]
      : []),
  ]
}
