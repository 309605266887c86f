import type { TileRow } from '../../database/repositories/audit-log.ts'
import { concatenate } from '../../protocol/encoding.ts'
import { hashesOf, hashRange } from '../../protocol/log/proofs.ts'
import { hashPerfect, TILE_WIDTH, type TilePlace } from '../../protocol/log/tiles.ts'
import type { Primitives } from '../../protocol/primitives.ts'

/** The tree while it grows: of each level the hashes of the last tile, which is not full. */
export interface TreeWriter {
  size(): number
  root(): Uint8Array
  /** Rows to store, each within one tile. */
  append(leafHashes: readonly Uint8Array[]): TileRow[]
}

/** The tiles that the writer of a tree of `size` goes on from. */
export function tailPlaces(size: number): TilePlace[] {
  const places: TilePlace[] = []
  for (let level = 0; Math.floor(size / TILE_WIDTH ** level) > 0; level++) {
    places.push({ level, tile: Math.floor(size / TILE_WIDTH ** (level + 1)) })
  }
  return places
}

/** `getTile`: of `tailPlaces(size)`; it may have more hashes than the tree. Throws `log_invalid` where it has fewer. */
export function createTreeWriter(
  crypto: Primitives,
  size: number,
  getTile: (place: TilePlace) => readonly Uint8Array[],
): TreeWriter {
  let count = size
  const tails = tailPlaces(size).map((place) =>
    getTile(place).slice(0, Math.floor(size / TILE_WIDTH ** place.level) % TILE_WIDTH),
  )
  const getTail = ({ level }: TilePlace) => tails[level] ?? []
  // Every perfect subtree of the frontier lies in a tail: one that is too short shows here.
  hashesOf(crypto, getTail, { start: 0, end: size })

  function appendToLevel(level: number, hashes: readonly Uint8Array[]): TileRow[] {
    const rows: TileRow[] = []
    const above: Uint8Array[] = []
    const tail = (tails[level] ??= [])
    let first = Math.floor(count / TILE_WIDTH ** level)
    for (let at = 0; at < hashes.length; ) {
      const taken = hashes.slice(at, at + TILE_WIDTH - tail.length)
      rows.push({ level, firstIndex: first, hashes: concatenate(taken) })
      tail.push(...taken)
      at += taken.length
      first += taken.length
      if (tail.length === TILE_WIDTH) above.push(hashPerfect(crypto, tail.splice(0)))
    }
    return above.length === 0 ? rows : [...rows, ...appendToLevel(level + 1, above)]
  }

  return {
    size: () => count,
    root: () => hashRange(crypto, getTail, { start: 0, end: count }),
    append(leafHashes) {
      const rows = appendToLevel(0, leafHashes)
      count += leafHashes.length
      return rows
    },
  }
}
