import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createFrontier } from '../../../../protocol/log/frontier.ts'
import { leafHash, verifyConsistency, verifyInclusion } from '../../../../protocol/log/merkle.ts'
import { consistencyRanges, hashesOf, inclusionRanges, tilesOfRanges } from '../../../../protocol/log/proofs.ts'
import { tileWidth } from '../../../../protocol/log/tiles.ts'
import { makeEntry, makeMemoryLog, rootsOf } from '../../../support/memory-log.ts'
import { plainTreeOf } from '../../../support/plain-merkle.ts'
import { native, providers, refusalOf, toHex, toUtf8 } from '../../../support/protocol-providers.ts'

const SMALL = 70
const LARGE = 5_000
/** Up to this, every proof is tried for every other place. */
const CROSSED = 12
const entries = Array.from({ length: LARGE }, (_, index) => makeEntry(index))
const plain = plainTreeOf(entries.map(toUtf8))
const plainRoot = (size: number) => plain.root(0n, BigInt(size))

describe.each(providers)('with $provider every proof of RFC 6962', (crypto) => {
  const log = makeMemoryLog(crypto, entries, [])
  const head = (size: number) => ({ size, root: log.root(size) })

  /** The proofs that are not those of the text; what does not verify throws. */
  const other: string[] = []
  beforeEach(() => other.splice(0))
  afterEach(() => expect(other).toEqual([]))

  function checkInclusion(index: number, size: number): void {
    const proof = log.proof(index, size)
    if (!areEqual(proof, plain.path(BigInt(index), BigInt(size)))) other.push(`entry ${index} of ${size}`)
    verifyInclusion(crypto, { hash: log.leaves[index] as Uint8Array, index }, { size, root: plainRoot(size) }, proof)
  }

  function checkConsistency(from: number, to: number): void {
    const proof = log.consistency(from, to)
    const expected = from === 0 ? [] : plain.proof(BigInt(from), BigInt(to))
    if (!areEqual(proof, expected)) other.push(`${from} to ${to}`)
    verifyConsistency(crypto, { size: from, root: plainRoot(from) }, { size: to, root: plainRoot(to) }, proof)
  }

  it(`of inclusion, in trees of up to ${SMALL}, is that of its text and verifies`, () => {
    for (let size = 1; size <= SMALL; size++) {
      for (let index = 0; index < size; index++) checkInclusion(index, size)
    }
  })

  it(`of consistency, in trees of up to ${SMALL}, is that of its text and verifies`, () => {
    for (let to = 0; to <= SMALL; to++) {
      for (let from = 0; from <= to; from++) checkConsistency(from, to)
    }
  })

  it(`at random in trees of up to ${LARGE} is that of its text and verifies`, () => {
    const pair = fc.tuple(fc.integer({ min: 1, max: LARGE }), fc.nat(LARGE - 1), fc.nat(LARGE))
    fc.assert(
      fc.property(pair, ([size, index, from]) => {
        checkInclusion(index % size, size)
        checkConsistency(from % (size + 1), size)
      }),
      { numRuns: 200 },
    )
  })

  it('is for its own index and size: under any other, or of another leaf, it is refused', () => {
    for (let size = 1; size <= CROSSED; size++) {
      for (let index = 0; index < size; index++) {
        const proof = log.proof(index, size)
        for (let other = 0; other < CROSSED; other++) {
          const hash = log.leaves[other] as Uint8Array
          const isOwn = other === index
          if (!isOwn) expectRefused(() => verifyInclusion(crypto, { hash, index }, head(size), proof))
          const own = log.leaves[index] as Uint8Array
          if (!isOwn) expectRefused(() => verifyInclusion(crypto, { hash: own, index: other }, head(size), proof))
          if (other !== size) expectRefused(() => verifyInclusion(crypto, { hash: own, index }, head(other), proof))
        }
      }
    }
  })

  it('is between its own two trees: another of one size, or another size of one root, is refused', () => {
    for (let to = 1; to <= CROSSED; to++) {
      for (let from = 1; from <= to; from++) {
        const proof = log.consistency(from, to)
        for (let other = 1; other <= CROSSED; other++) {
          if (other !== from) expectRefused(() => verifyConsistency(crypto, head(other), head(to), proof))
          if (other !== to) expectRefused(() => verifyConsistency(crypto, head(from), head(other), proof))
          const forged = { size: from, root: log.root(other) }
          if (other !== from) expectRefused(() => verifyConsistency(crypto, forged, head(to), proof))
        }
      }
    }
  })
})

describe('a tree', () => {
  const log = makeMemoryLog(native, entries, [])

  it('that grows has the roots of its text, and as frontier the perfect subtrees that its tiles give', () => {
    const sizes = [...Array(300).keys(), 1023, 1024, 1025, 2048, 4095, 4097, LARGE]
    const roots = rootsOf(native, log.leaves)
    for (const size of sizes) expect(toHex(roots[size] as Uint8Array)).toBe(toHex(plainRoot(size)))
    const frontier = createFrontier(native)
    for (const [index, hash] of log.leaves.slice(0, 300).entries()) {
      frontier.append(hash)
      const fromTiles = hashesOf(native, tileOf, { start: 0, end: index + 1 })
      expect(areEqual(frontier.hashes(), fromTiles)).toBe(true)
    }
  })

  it('is not begun by a frontier of another number of hashes', () => {
    const hashes = log.leaves.slice(0, 3)
    for (const [size, given] of [
      [0, 1],
      [1, 0],
      [3, 1],
      [4, 2],
      [5, 1],
      [2 ** 40 + 1, 1],
    ] as const) {
      const refusal = refusalOf(() => createFrontier(native, size, hashes.slice(0, given)))
      expect(refusal.code).toBe('log_invalid')
    }
  })

  it('is proved from tiles that each are there and wide enough at its size', () => {
    for (let size = 1; size <= LARGE; size += 37) {
      const ranges = [...inclusionRanges(size >> 1, size), ...consistencyRanges(size >> 2, size)]
      const tiles = tilesOfRanges(ranges)
      expect(new Set(tiles.map(({ level, tile }) => `${level}/${tile}`)).size).toBe(tiles.length)
      for (const tile of tiles) expect(tileWidth(tile, size)).toBeGreaterThan(0)
    }
  })

  it('is not proved from a tile that lacks a hash', () => {
    const refusal = refusalOf(() => hashesOf(native, () => log.leaves.slice(0, 3), { start: 0, end: 4 }))
    expect(refusal).toEqual({ code: 'log_invalid', message: 'Tile 0/0 is not as wide as its tree.' })
  })

  it.each([
    [-1, 3],
    [3, 3],
    [0, 0],
    [Number.NaN, 3],
  ])('has no proof of entry %f in %f', (index, size) => {
    expectRefused(() => inclusionRanges(index, size))
    const hash = leafHash(native, toUtf8(entries[0] ?? ''))
    expectRefused(() => verifyInclusion(native, { hash, index }, { size, root: hash }, []))
  })

  it.each([
    [-1, 1],
    [0.5, 1],
    [0, 1.5],
    [0, Number.POSITIVE_INFINITY],
    [0, 2 ** 53],
  ])('verifies no proof of entry %f in a tree of %f, even of one leaf that is its root', (index, size) => {
    const hash = leafHash(native, toUtf8(entries[0] ?? ''))
    expectRefused(() => verifyInclusion(native, { hash, index }, { size, root: hash }, []))
  })

  it.each([
    [-1, 1],
    [0.5, 1],
    [3, 2],
    [Number.NaN, 2],
    [1, Number.NaN],
  ])('of %f does not begin one of %f', (from, to) => {
    const root = log.root(1)
    expectRefused(() => verifyConsistency(native, { size: from, root }, { size: to, root }, [root]))
    expectRefused(() => verifyConsistency(native, { size: from, root }, { size: to, root }, []))
    if (!(from < to)) expectRefused(() => consistencyRanges(from, to))
  })

  it('that is empty begins every tree, by its root alone', () => {
    const empty = { size: 0, root: log.root(0) }
    const whole = { size: 9, root: log.root(9) }
    verifyConsistency(native, empty, whole, [])
    verifyConsistency(native, empty, empty, [])
    expectRefused(() => verifyConsistency(native, { size: 0, root: whole.root }, whole, []))
    expectRefused(() => verifyConsistency(native, empty, whole, [whole.root]))
  })

  it('is one of its size: two roots under one size are refused', () => {
    const [one, other] = [log.root(8), log.root(9)]
    expect(refusalOf(() => verifyConsistency(native, { size: 8, root: one }, { size: 8, root: other }, []))).toEqual({
      code: 'log_invalid',
      message: 'There are two trees of size 8.',
    })
  })

  function tileOf({ level, tile }: { level: number; tile: number }): Uint8Array[] {
    const width = 256 ** level
    const start = tile * 256 * width
    const count = Math.min(256, Math.floor((LARGE - start) / width))
    return Array.from({ length: count }, (_, i) =>
      plain.root(BigInt(start + i * width), BigInt(start + (i + 1) * width)),
    )
  }
})

function areEqual(ones: readonly Uint8Array[], others: readonly Uint8Array[]): boolean {
  return ones.length === others.length && ones.every((one, at) => Buffer.compare(one, others[at] as Uint8Array) === 0)
}

function expectRefused(action: () => unknown): void {
  expect(refusalOf(action).code).toBe('log_invalid')
}
