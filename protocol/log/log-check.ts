import type { Primitives } from '../primitives.ts'
import { createFrontier } from './frontier.ts'
import { leafHash, type TreeHead } from './merkle.ts'
import { type EntryFacts, readEntry } from './read-entry.ts'
import { hashPerfect, TILE_WIDTH, type TilePlace, tileWidth } from './tiles.ts'

/** One entry as it is stored: with what filters look for, and where its event is said to stand. */
export interface StoredEntry extends EntryFacts {
  index: number
  entry: string
}

/** Entries of one tile of level 0, as they are stored. */
export interface StoredPage {
  tile: number
  /** As many as the log has of this tile. */
  hashes: readonly Uint8Array[]
  entries: readonly StoredEntry[]
  /** By index, what the table of event ids says of it: it outlives the entries. */
  events: ReadonlyMap<number, { eventId: string; organizationId: string }>
}

/** Indices from `start` to before `end`. */
export interface IndexRange {
  start: number
  end: number
}

/** `index`: the first entry at fault, where it is about one. */
export interface Difference {
  index: number | undefined
  what: string
}

/**
 * Goes through a whole stored log once, in the order of `tilesBottomUp`, and tells where it is not one log. What it remembers does
 * not grow with the log.
 */
export interface LogCheck {
  checkPage(page: StoredPage): Difference[]
  /** A tile above level 0; those below it were checked before. */
  checkTile(place: TilePlace, hashes: readonly Uint8Array[]): Difference[]
  /** Where no entry was so far; side by side is one range. Some may be removed because they are old, which is not known here. */
  missing(): readonly IndexRange[]
  /** When all pages are through: the trees that were signed. */
  finish(): Difference[]
}

/** Every tile of a tree with its width; each one above level 0 right after the last of those that it is made of. */
export function* tilesBottomUp(size: number): Generator<TilePlace & { width: number }> {
  for (let end = 0; end < size; ) {
    const tile = end / TILE_WIDTH
    end = Math.min(end + TILE_WIDTH, size)
    yield { level: 0, tile, width: tileWidth({ level: 0, tile }, size) }
    for (let level = 1; end >= TILE_WIDTH ** level; level++) {
      const hashes = Math.floor(end / TILE_WIDTH ** level)
      const isFull = end % TILE_WIDTH ** (level + 1) === 0
      if (!isFull && end < size) break
      const width = isFull ? TILE_WIDTH : hashes % TILE_WIDTH
      if (width > 0) yield { level, tile: Math.ceil(hashes / TILE_WIDTH) - 1, width }
    }
  }
}

/** `heads`: the trees that were signed, none larger than the log. */
export function createLogCheck(crypto: Primitives, size: number, heads: readonly TreeHead[]): LogCheck {
  const utf8 = new TextEncoder()
  const frontier = createFrontier(crypto)
  /** Roots of the full tiles of each level that came since the last tile above: what the next one has to hold. */
  const rootsOf: Uint8Array[][] = []
  const rootAt = new Map<number, Uint8Array>()
  const missing: IndexRange[] = []
  const wanted = new Set(heads.map((head) => head.size))
  if (wanted.has(0)) rootAt.set(0, frontier.root())

  function noteRoot(level: number, hashes: readonly Uint8Array[]): void {
    if (hashes.length === TILE_WIDTH) (rootsOf[level] ??= []).push(hashPerfect(crypto, hashes))
  }

  function noteMissing(index: number): void {
    const last = missing.at(-1)
    if (last?.end === index) last.end += 1
    else missing.push({ start: index, end: index + 1 })
  }

  function checkEntry(index: number, hash: Uint8Array, stored: StoredEntry | undefined, page: StoredPage): string[] {
    const event = page.events.get(index)
    if (stored === undefined) {
      noteMissing(index)
      return event === undefined ? ['is not in the table of event ids'] : []
    }
    const isIntact = crypto.equal(leafHash(crypto, utf8.encode(stored.entry)), hash)
    return [
      ...(isIntact ? [] : ['is not the one that was logged']),
      ...checkFacts(stored),
      ...(event?.eventId === stored.eventId ? [] : ['is not where the table of event ids says']),
      ...(event === undefined || event.organizationId === stored.organizationId
        ? []
        : ['is of another organization in the table of event ids']),
    ]
  }

  return {
    checkPage(page) {
      const first = page.tile * TILE_WIDTH
      const expected = Math.min(TILE_WIDTH, size - first)
      if (page.hashes.length !== expected) {
        return [
          { index: first + page.hashes.length, what: `the tile has ${page.hashes.length} hashes, not ${expected}` },
        ]
      }
      const entries = new Map(page.entries.map((stored) => [stored.index, stored]))
      const differences: Difference[] = []
      for (const [at, hash] of page.hashes.entries()) {
        const index = first + at
        for (const what of checkEntry(index, hash, entries.get(index), page)) differences.push({ index, what })
        frontier.append(hash)
        if (wanted.has(index + 1)) rootAt.set(index + 1, frontier.root())
      }
      noteRoot(0, page.hashes)
      return differences
    },

    checkTile({ level, tile }, hashes) {
      const expected = rootsOf[level - 1] ?? []
      rootsOf[level - 1] = []
      noteRoot(level, hashes)
      const isSame =
        hashes.length === expected.length && hashes.every((hash, at) => crypto.equal(hash, expected[at] as Uint8Array))
      return isSame ? [] : [{ index: undefined, what: `tile ${level}/${tile} is not made of the tiles below it` }]
    },

    missing: () => missing,

    finish() {
      return heads.flatMap((head) => {
        const root = rootAt.get(head.size)
        if (root !== undefined && crypto.equal(root, head.root)) return []
        return [{ index: undefined, what: `the checkpoint of ${head.size} entries is of another tree` }]
      })
    },
  }
}

function checkFacts(stored: StoredEntry): string[] {
  const facts = readEntry(stored.entry)
  if ('refused' in facts) return [`is no event: ${facts.refused}`]
  const names = Object.keys(facts) as (keyof EntryFacts)[]
  return names.filter((name) => facts[name] !== stored[name]).map((name) => `is filed under another ${name}`)
}
