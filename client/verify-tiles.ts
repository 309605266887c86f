import { foldRight } from '../protocol/log/frontier.ts'
import type { TreeHead } from '../protocol/log/merkle.ts'
import { hashesOf } from '../protocol/log/proofs.ts'
import { hashPerfect, TILE_WIDTH, type TilePlace, tileWidth } from '../protocol/log/tiles.ts'
import type { Primitives } from '../protocol/primitives.ts'

/** Asked for at once: a tile is 8 KiB. */
const TILES_AT_ONCE = 8

/** The first `width` hashes of a tile. Throws where the log does not give them. */
export type FetchTile = (place: TilePlace, width: number) => Promise<Uint8Array[]>

/** `index`: of the first entry of the tile at fault, where it is one. */
export interface TileProblem {
  index: number | undefined
  reason: string
}

/**
 * Every hash of a tree, from its root down to its leaves, so that the tile at fault is known; undefined when they are all what
 * the root says. `head` is of a checkpoint that was verified, what `fetchTile` gives is attacker-controlled. `onProgress`: of the
 * leaves. What is held in memory is a 256th of the tree.
 */
export async function verifyTiles(
  crypto: Primitives,
  head: TreeHead,
  fetchTile: FetchTile,
  onProgress: (leaves: number) => void = () => {},
): Promise<TileProblem | undefined> {
  const lastTiles = await fetchLastTiles(head.size, fetchTile)
  const frontier = hashesOf(crypto, ({ level }) => lastTiles[level] ?? [], { start: 0, end: head.size })
  if (!crypto.equal(foldRight(crypto, frontier), head.root)) {
    return { index: undefined, reason: `The last tiles of the log are not those of its tree of ${head.size}.` }
  }
  let above: Uint8Array[] = []
  for (let level = lastTiles.length - 1; level >= 0; level--) {
    const hashes: Uint8Array[] = []
    for (let first = 0; first < above.length; first += TILES_AT_ONCE) {
      const expected = above.slice(first, first + TILES_AT_ONCE)
      const places = expected.map((_, at) => ({ level, tile: first + at }))
      const tiles = await Promise.all(places.map((place) => fetchTile(place, TILE_WIDTH)))
      const bad = tiles.findIndex((tile, at) => !crypto.equal(hashPerfect(crypto, tile), expected[at] as Uint8Array))
      if (bad >= 0) return problemOf(level, first + bad)
      // Of the leaves nothing is computed any more.
      if (level > 0) hashes.push(...tiles.flat())
      else onProgress((first + tiles.length) * TILE_WIDTH)
    }
    above = [...hashes, ...(lastTiles[level] ?? [])]
  }
  onProgress(head.size)
  return undefined
}

/** Of each level, the hashes behind its last full tile: together they are the frontier. */
async function fetchLastTiles(size: number, fetchTile: FetchTile): Promise<Uint8Array[][]> {
  const levels: Uint8Array[][] = []
  for (let hashes = size, level = 0; hashes > 0; hashes = Math.floor(hashes / TILE_WIDTH), level++) {
    const place = { level, tile: Math.floor(hashes / TILE_WIDTH) }
    const width = tileWidth(place, size)
    levels.push(width === 0 ? [] : await fetchTile(place, width))
  }
  return levels
}

function problemOf(level: number, tile: number): TileProblem {
  const entries = TILE_WIDTH ** (level + 1)
  const index = tile * entries
  return { index, reason: `Of entries ${index} to ${index + entries - 1}, at least one is not what was signed.` }
}
