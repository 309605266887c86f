import { setTimeout } from 'node:timers/promises'
import type { Difference, IndexRange } from '../protocol/log/log-check.ts'
import { readEntry } from '../protocol/log/read-entry.ts'
import type { Database } from './open.ts'
import { listRemovedPartitions, listServiceEvents } from './repositories/audit-check.ts'

/** A running sequencer takes an event into the log well within these. */
const TRIES = 5
const BETWEEN_TRIES_MS = 500

/**
 * Whether entries that are missing were removed because they are old: whole partitions, of which nothing is left, up to one that
 * the log itself says was removed. The oldest goes first, so that such an event speaks for the partitions before it too, whose own
 * events are removed in their turn.
 */
export async function checkRemovedEntries(
  database: Database,
  missing: readonly IndexRange[],
  signal: AbortSignal,
): Promise<Difference[]> {
  for (let tries = 1; ; tries++) {
    const { removed, named } = await database.withoutOrganization(async (tx) => ({
      // In this order: the event is stored with the removal.
      removed: await listRemovedPartitions(tx),
      named: (await listServiceEvents(tx, 'audit_log.entries_removed')).flatMap(readRemovedRange),
    }))
    const upTo = Math.max(
      0,
      ...removed
        .filter((range) => named.some(({ start, end }) => start === range.start && end === range.end))
        .map(({ end }) => end),
    )
    const lost = missing.flatMap((range) => subtract(range, removed, upTo))
    const waitsForEvent = removed.some(({ end, hasBodies }) => end > upTo && !hasBodies)
    if (lost.length > 0 && waitsForEvent && tries < TRIES) {
      await setTimeout(BETWEEN_TRIES_MS, undefined, { signal })
      continue
    }
    return [
      ...lost.map(({ start, end }) => ({
        index: start,
        what: end === start + 1 ? 'is missing' : `is missing, and all that follow up to ${end - 1}`,
      })),
      ...removed
        .filter(({ hasBodies }) => hasBodies)
        .map(({ start, end }) => ({
          index: start,
          what: `and all that follow up to ${end - 1} are said to be removed, but not all are gone`,
        })),
    ]
  }
}

/** What is left of a range without those that are removed and end at `upTo` at most; they are in order. */
function subtract(range: IndexRange, removed: readonly IndexRange[], upTo: number): IndexRange[] {
  const left: IndexRange[] = []
  let { start } = range
  for (const gone of removed) {
    if (gone.end > upTo || gone.end <= start || gone.start >= range.end) continue
    if (gone.start > start) left.push({ start, end: gone.start })
    start = gone.end
  }
  return start < range.end ? [...left, { start, end: range.end }] : left
}

function readRemovedRange(entry: string): IndexRange[] {
  if ('refused' in readEntry(entry)) return []
  const event: unknown = JSON.parse(entry)
  if (!isObject(event) || !isObject(event.data)) return []
  const { fromIndex, toIndex } = event.data
  return typeof fromIndex === 'number' && typeof toIndex === 'number' ? [{ start: fromIndex, end: toIndex }] : []
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
