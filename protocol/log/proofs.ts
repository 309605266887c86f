import { ProtocolError } from '../errors.ts'
import type { Primitives } from '../primitives.ts'
import { foldRight } from './frontier.ts'
import { type GetTile, hashSubtree, placeOf, type Subtree, type TilePlace } from './tiles.ts'

/** Leaves `start` up to, not including, `end`. */
export interface Range {
  start: number
  end: number
}

/** What the hashes of an inclusion proof are the roots of, from the leaf's sibling up (RFC 6962 §2.1.1). */
export function inclusionRanges(index: number, size: number): Range[] {
  if (!(index >= 0 && index < size)) throw new ProtocolError('log_invalid', `There is no entry ${index} in ${size}.`)
  const ranges: Range[] = []
  let [start, end] = [0, size]
  while (end - start > 1) {
    const middle = start + largestPowerBelow(end - start)
    ranges.push(index < middle ? { start: middle, end } : { start, end: middle })
    ;[start, end] = index < middle ? [start, middle] : [middle, end]
  }
  return ranges.reverse()
}

/** What the hashes of a consistency proof are the roots of (RFC 6962 §2.1.2). None where one of the trees is empty or both are one. */
export function consistencyRanges(from: number, to: number): Range[] {
  if (!(from >= 0 && from <= to))
    throw new ProtocolError('log_invalid', `A tree of ${from} does not begin one of ${to}.`)
  if (from === 0 || from === to) return []
  const ranges: Range[] = []
  let [start, end] = [0, to]
  while (end !== from) {
    const middle = start + largestPowerBelow(end - start)
    ranges.push(from <= middle ? { start: middle, end } : { start, end: middle })
    ;[start, end] = from <= middle ? [start, middle] : [middle, end]
  }
  // The older tree itself is left out where it is one perfect subtree: who verifies has its root.
  if (start !== 0) ranges.push({ start, end })
  return ranges.reverse()
}

/** The perfect subtrees of a range that begins where one of its size may begin; the largest, which is the leftmost, first. */
export function subtreesOf({ start, end }: Range): Subtree[] {
  const subtrees: Subtree[] = []
  for (let at = start; at < end; ) {
    const width = largestPowerUpTo(end - at)
    subtrees.push({ height: Math.log2(width), index: at / width })
    at += width
  }
  return subtrees
}

/** The tiles that the hashes of these ranges are computed from, each once. */
export function tilesOfRanges(ranges: readonly Range[]): TilePlace[] {
  const places = ranges.flatMap(subtreesOf).map(placeOf)
  return [...new Map(places.map(({ level, tile }) => [`${level}/${tile}`, { level, tile }])).values()]
}

/** RFC 6962's hash of the leaves of a range. Throws `log_invalid` where a tile lacks a hash. */
export function hashRange(crypto: Primitives, getTile: GetTile, range: Range): Uint8Array {
  return foldRight(crypto, hashesOf(crypto, getTile, range))
}

/** One for each of its perfect subtrees; of [0, size) this is the frontier. */
export function hashesOf(crypto: Primitives, getTile: GetTile, range: Range): Uint8Array[] {
  return subtreesOf(range).map((subtree) => hashSubtree(crypto, getTile, subtree))
}

function largestPowerUpTo(n: number): number {
  let power = 1
  while (power * 2 <= n) power *= 2
  return power
}

function largestPowerBelow(n: number): number {
  return largestPowerUpTo(n - 1)
}
