import type { Database } from '../../database/open.ts'
import {
  findMissingEvents,
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
import type { Clock } from '../../runtime/clock.ts'
import type { Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import type { AuditLog } from './audit-log.ts'
import { boundSlowReading } from './bound-slow-reading.ts'
import { requireCaller } from './change-as.ts'

/** Entries of one read: whole tiles. */
const PAGE = 4 * TILE_WIDTH
/** At once: of an organization, and in this process. Whoever reads slowly keeps his places, and nobody else's. */
const MAX_OF_ORGANIZATION = 4
const MAX_EXPORTS = 16
/** A page, some hundred kilobytes, takes a poor line no longer. */
const SLOW_MS = 300_000

export interface AuditExport {
  /** Lines of JSON, many to a chunk. Throws `unauthenticated` when the token has ended meanwhile. */
  lines: AsyncIterable<string>
  /** Somebody does not read them: the connection has to end. */
  cutOff: AbortSignal
}

/** Throws `malformed`, `overloaded`. */
export type ExportAuditLog = (caller: Operator, range: { from: number; to: number | undefined }) => Promise<AuditExport>

export function createExportAuditLog(parts: {
  database: Database
  auditor: Database
  auditLog: AuditLog
  clock: Clock
  slowExportMs: number | undefined
}): ExportAuditLog {
  const { database, auditor, auditLog, clock, slowExportMs = SLOW_MS } = parts
  /** Organizations of those that are under way, one for each. */
  const underWay: string[] = []

  return async (caller, { from, to }) => {
    const { organizationId } = caller
    const { size, note } = await auditLog.getCheckpoint(false)
    const end = to ?? size
    if (end > size) throw new ServiceError('malformed', `to: the log has ${size} entries.`, { field: 'to' })
    if (from > end) throw new ServiceError('malformed', 'from: is behind to.', { field: 'from' })
    const own = underWay.filter((organization) => organization === organizationId).length
    if (own >= MAX_OF_ORGANIZATION || underWay.length >= MAX_EXPORTS) {
      throw new ServiceError('overloaded', 'As many exports as can be are under way already.', {
        retryAfterSeconds: 10,
      })
    }
    const lines = writeLines(caller, { from, end, size, note })
    await lines.next()
    const cutting = new AbortController()
    return { lines: boundSlowReading(lines, slowExportMs, () => cutting.abort()), cutOff: cutting.signal }
  }

  /** Counts from its first step on, which yields nothing for the reader: who goes away later than that ends it, and its place is free. */
  async function* writeLines(
    caller: Operator,
    { from, end, size, note }: { from: number; end: number; size: number; note: string },
  ): AsyncGenerator<string> {
    const { organizationId } = caller
    underWay.push(organizationId)
    try {
      const frontier = await auditLog.readFrontier(from)
      const consistency = end === size ? undefined : (await auditLog.proveConsistency(end, size)).hashes
      const { origin } = parseCheckpointBody(parseNote(note).body)
      yield ''
      yield `${formatExportHeader({ origin, from, to: end, frontier })}\n`
      for (let start = from; start < end; ) {
        const pageEnd = Math.min(end, start - (start % TILE_WIDTH) + PAGE)
        // It may take hours, and who has a stolen token would go on reading, and keep the place, when it is revoked.
        await database.withOrganization(organizationId, (tx) => requireCaller(tx, caller, clock.now()))
        yield await readPage(auditor, organizationId, { start, end: pageEnd })
        start = pageEnd
      }
      yield `${formatExportEnd(note, consistency)}\n`
    } finally {
      underWay.splice(underWay.indexOf(organizationId), 1)
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
  const { entries, own, missing, removed, tiles } = await auditor.withOrganization(organizationId, async (tx) => ({
    entries: new Map((await listEntries(tx, range)).map(({ index, entry }) => [index, entry])),
    own: new Set(await listOwnIndexes(tx, range)),
    missing: new Set(await findMissingEvents(tx, range)),
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
    const entry = entries.get(index)
    // What should be there and is not, or is no single line, is shown as what is no event: the file must not verify.
    const isDamaged = entry?.includes('\n') ?? (missing.has(index) || (own.has(index) && !isRemoved))
    text += `${formatExportEntry(index, isDamaged ? 'null' : entry, leaf)}\n`
  }
  return text
}
