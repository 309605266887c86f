import { ProtocolError } from '../errors.ts'
import type { Primitives } from '../primitives.ts'
import { nodeHash } from './merkle.ts'

/** Hashes in a full tile, and levels of the tree that one tile spans (C2SP tlog-tiles). */
export const TILE_WIDTH = 256
const TILE_HEIGHT = 8

/** A tile by its place: `level` 0 holds leaf hashes; a hash of level n + 1 is the root of a full tile of level n. */
export interface TilePlace {
  level: number
  tile: number
}

/** A perfect subtree: `index` counts those of this height from the left; height 0 is a leaf. */
export interface Subtree {
  height: number
  index: number
}

/** Of a tile's first hashes, as far as they are needed; throws where it has fewer. */
export type GetTile = (place: TilePlace) => readonly Uint8Array[]

/** The tile that the hash of a subtree is computed from, and which of its hashes. */
export function placeOf({ height, index }: Subtree): TilePlace & { from: number; count: number } {
  const level = Math.floor(height / TILE_HEIGHT)
  const count = 2 ** (height % TILE_HEIGHT)
  const first = index * count
  return { level, tile: Math.floor(first / TILE_WIDTH), from: first % TILE_WIDTH, count }
}

/** Throws `log_invalid` where the tile lacks a hash. */
export function hashSubtree(crypto: Primitives, getTile: GetTile, subtree: Subtree): Uint8Array {
  const { level, tile, from, count } = placeOf(subtree)
  const hashes = getTile({ level, tile }).slice(from, from + count)
  if (hashes.length !== count)
    throw new ProtocolError('log_invalid', `Tile ${level}/${tile} is not as wide as its tree.`)
  return hashPerfect(crypto, hashes)
}

/** The root over a power of two of hashes that stand side by side. */
export function hashPerfect(crypto: Primitives, hashes: readonly Uint8Array[]): Uint8Array {
  let row = hashes
  while (row.length > 1) {
    const above: Uint8Array[] = []
    for (let i = 0; i < row.length; i += 2) above.push(nodeHash(crypto, row[i] as Uint8Array, row[i + 1] as Uint8Array))
    row = above
  }
  return row[0] as Uint8Array
}

/** How many hashes a tile has in a tree of `size`; 0 where there is no such tile. */
export function tileWidth({ level, tile }: TilePlace, size: number): number {
  const hashes = Math.floor(size / TILE_WIDTH ** level) - tile * TILE_WIDTH
  return Math.max(0, Math.min(TILE_WIDTH, hashes))
}

/** Every tile of a tree, level by level, with its width. */
export function* tilesOf(size: number): Generator<TilePlace & { width: number }> {
  for (let level = 0; Math.floor(size / TILE_WIDTH ** level) > 0; level++) {
    for (let tile = 0; tileWidth({ level, tile }, size) > 0; tile++) {
      yield { level, tile, width: tileWidth({ level, tile }, size) }
    }
  }
}

/** `<L>/<N>[.p/<W>]` of C2SP tlog-tiles, as in `0/x001/x234/067.p/12`. */
export function tilePath({ level, tile }: TilePlace, width: number): string {
  const groups = [String(tile % 1000).padStart(3, '0')]
  for (let rest = Math.floor(tile / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`)
  }
  return `${level}/${groups.join('/')}${width === TILE_WIDTH ? '' : `.p/${width}`}`
}

/** Attacker-controlled input; undefined for what is no tile's path, or not the one way to write it. */
export function parseTilePath(path: string): (TilePlace & { width: number }) | undefined {
  const match = /^(\d{1,2})\/((?:x\d{3}\/){0,4}\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path)
  if (match === null) return undefined
  const [, levelText = '', groups = '', widthText] = match
  const level = Number(levelText)
  const tile = Number(groups.replaceAll(/[x/]/g, ''))
  const width = widthText === undefined ? TILE_WIDTH : Number(widthText)
  const isPlaced = level <= 63 && Number.isSafeInteger(tile) && width >= 1 && width <= TILE_WIDTH
  return isPlaced && tilePath({ level, tile }, width) === path ? { level, tile, width } : undefined
}
