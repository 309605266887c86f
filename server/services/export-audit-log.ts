import type { Database } from '../../database/open.ts'
import {
  findRemovedRanges,
  listEntries,
  listOwnIndexes,
  readTiles,
  tileKey,
} from '../../database/repositories/audit-reader.ts'
import { formatExportEnd, formatExportEntry, formatExportHeader } from '../../protocol/log/audit-export.ts'
import { parseCheckpointBody } from '../../protocol/log/checkpoint.ts'
import { parseNote } from '../../protocol/log/signed-note.ts'
import { TILE_WIDTH } from '../../protocol/log/tiles.ts'
import type { Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import type { AuditLog } from './audit-log.ts'

/** Entries of one read: whole tiles. */
const PAGE = 4 * TILE_WIDTH
/** At once, in this process: each holds a connection most of the time. */
const MAX_EXPORTS = 4

/** Lines of JSON, many to a chunk. Throws `malformed`, `overloaded` before the first. */
export type ExportAuditLog = (
  caller: Operator,
  range: { from: number; to: number | undefined },
) => Promise<AsyncIterable<string>>

export function createExportAuditLog(parts: { auditor: Database; auditLog: AuditLog }): ExportAuditLog {
  const { auditor, auditLog } = parts
  let underWay = 0

  return async ({ organizationId }, { from, to }) => {
    const checkpoint = await auditLog.getCheckpoint(false)
    const { size, note } = checkpoint
    const end = to ?? size
    if (end > size) throw new ServiceError('malformed', `to: the log has ${size} entries.`, { field: 'to' })
    if (from > end) throw new ServiceError('malformed', 'from: is behind to.', { field: 'from' })
    if (underWay >= MAX_EXPORTS) {
      throw new ServiceError('overloaded', `${MAX_EXPORTS} exports are under way already.`, { retryAfterSeconds: 10 })
    }
    const frontier = await auditLog.readFrontier(from)
    const consistency = end === size ? undefined : (await auditLog.proveConsistency(end, size)).hashes
    const { origin } = parseCheckpointBody(parseNote(note).body)
    return count(async function* lines() {
      yield `${formatExportHeader({ origin, from, to: end, frontier })}\n`
      for (let start = from; start < end; ) {
        const pageEnd = Math.min(end, start - (start % TILE_WIDTH) + PAGE)
        yield await readPage(auditor, organizationId, { start, end: pageEnd })
        start = pageEnd
      }
      yield `${formatExportEnd(note, consistency)}\n`
    })
  }

  async function* count(lines: () => AsyncGenerator<string>): AsyncGenerator<string> {
    underWay += 1
    try {
      yield* lines()
    } finally {
      underWay -= 1
    }
  }
}

async function readPage(
  auditor: Database,
  organizationId: string,
  range: { start: number; end: number },
): Promise<string> {
  const tileNumbers = Array.from(
    { length: Math.ceil(range.end / TILE_WIDTH) - Math.floor(range.start / TILE_WIDTH) },
    (_, at) => Math.floor(range.start / TILE_WIDTH) + at,
  )
  const { entries, own, removed, tiles } = await auditor.withOrganization(organizationId, async (tx) => ({
    entries: new Map((await listEntries(tx, range)).map(({ index, entry }) => [index, entry])),
    own: new Set(await listOwnIndexes(tx, range)),
    removed: await findRemovedRanges(tx),
    tiles: await readTiles(
      tx,
      tileNumbers.map((tile) => ({ level: 0, tile })),
    ),
  }))
  let text = ''
  for (let index = range.start; index < range.end; index++) {
    const leaf = tiles.get(tileKey({ level: 0, tile: Math.floor(index / TILE_WIDTH) }))?.[index % TILE_WIDTH]
    if (leaf === undefined) throw new Error(`The hash of entry ${index} is missing.`)
    const isRemoved = removed.some(({ start, end }) => index >= start && index < end)
    // What should be there and is not, is shown as what is not: the file must not verify.
    const missing = own.has(index) && !isRemoved ? 'null' : undefined
    text += `${formatExportEntry(index, entries.get(index) ?? missing, leaf)}\n`
  }
  return text
}
