import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createFrontier } from '../../../../protocol/log/frontier.ts'
import { verifyConsistency, verifyInclusion } from '../../../../protocol/log/merkle.ts'
import { consistencyRanges, hashesOf, hashRange, inclusionRanges } from '../../../../protocol/log/proofs.ts'
import type { GetTile } from '../../../../protocol/log/tiles.ts'
import { type PlainTree, plainTreeOfRuns, sha256 } from '../../../support/plain-merkle.ts'
import { native as crypto, flipBit, refusalOf, toHex } from '../../../support/protocol-providers.ts'

/** Sizes where 32 bits or the exactness of a number would end, and any between. */
const edges = [2 ** 31, 2 ** 32, 2 ** 33, 2 ** 48, 2 ** 52].flatMap((n) => [n - 1, n, n + 1])
const someSize = fc.oneof(
  fc.constantFrom(...edges, Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER),
  fc.bigInt({ min: 2n ** 31n, max: 2n ** 53n - 1n }).map(Number),
)
const somePart = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })

const [common, special, later] = [1, 2, 3].map((byte) => sha256(Buffer.of(0, byte))) as [Buffer, Buffer, Buffer]
const hexes = (hashes: readonly Uint8Array[]) => hashes.map(toHex)

/** A tree of one leaf over and over, and another at `index`. */
function oneSpecial(index: number): PlainTree {
  const at = BigInt(index)
  return plainTreeOfRuns((leaf) => (leaf === at ? special : common), [at, at + 1n])
}

/** A tree of one leaf over and over, and from `from` on of another. */
function twoRuns(from: number): PlainTree {
  return plainTreeOfRuns((leaf) => (leaf < BigInt(from) ? common : later), [BigInt(from)])
}

/** As a log of that size would serve it: only what is asked of a tile is computed. */
function tilesOf(plain: PlainTree, size: number): GetTile {
  const tiles = new Map<string, Uint8Array[]>()
  return ({ level, tile }) => {
    const known = tiles.get(`${level}/${tile}`)
    if (known !== undefined) return known
    const width = 256n ** BigInt(level)
    const start = BigInt(tile) * 256n * width
    const count = Number((BigInt(size) - start) / width)
    const hashes = Array.from({ length: Math.max(0, Math.min(256, count)) }, (_, i) =>
      plain.root(start + BigInt(i) * width, start + BigInt(i + 1) * width),
    )
    tiles.set(`${level}/${tile}`, hashes)
    return hashes
  }
}

describe('in a tree of more than 2^31 leaves', () => {
  it('the proof of any entry is that of RFC 6962, from its tiles, and verifies', () => {
    fc.assert(
      fc.property(someSize, somePart, fc.nat(), (size, part, bit) => {
        const index = Math.floor(part * size)
        const plain = oneSpecial(index)
        const getTile = tilesOf(plain, size)
        const root = plain.root(0n, BigInt(size))
        const proof = inclusionRanges(index, size).map((range) => hashRange(crypto, getTile, range))
        expect(hexes(proof)).toEqual(hexes(plain.path(BigInt(index), BigInt(size))))
        verifyInclusion(crypto, { hash: special, index }, { size, root }, proof)
        const wrong = proof.with(bit % proof.length, flipBit(proof[bit % proof.length] as Uint8Array, bit % 256))
        const verifyWrong = () => verifyInclusion(crypto, { hash: special, index }, { size, root }, wrong)
        expect(refusalOf(verifyWrong).code).toBe('log_invalid')
      }),
      { numRuns: 40 },
    )
  })

  it('the consistency with any of its beginnings is that of RFC 6962, from its tiles, and verifies', () => {
    fc.assert(
      fc.property(someSize, somePart, (to, part) => {
        const from = Math.floor(part * to)
        const plain = twoRuns(from)
        const older = { size: from, root: plain.root(0n, BigInt(from)) }
        const newer = { size: to, root: plain.root(0n, BigInt(to)) }
        const getTile = tilesOf(plain, to)
        const proof = consistencyRanges(from, to).map((range) => hashRange(crypto, getTile, range))
        expect(hexes(proof)).toEqual(from === 0 ? [] : hexes(plain.proof(BigInt(from), BigInt(to))))
        verifyConsistency(crypto, older, newer, proof)
        const forged = { size: from, root: flipBit(older.root, from % 256) }
        expect(refusalOf(() => verifyConsistency(crypto, forged, newer, proof)).code).toBe('log_invalid')
      }),
      { numRuns: 40 },
    )
  })

  it('the frontier is its perfect subtrees, and goes on from them', () => {
    fc.assert(
      fc.property(someSize, (size) => {
        const from = size - 3
        const plain = twoRuns(from)
        const frontier = createFrontier(crypto, from, hashesOf(crypto, tilesOf(plain, from), { start: 0, end: from }))
        expect(toHex(frontier.root())).toBe(toHex(plain.root(0n, BigInt(from))))
        for (let i = 0; i < 3; i++) frontier.append(later)
        expect([frontier.size(), toHex(frontier.root())]).toEqual([size, toHex(plain.root(0n, BigInt(size)))])
      }),
      { numRuns: 30 },
    )
  })
})
