import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { verifyConsistency, verifyInclusion } from '../../../../protocol/log/merkle.ts'
import { makeEntry, makeMemoryLog } from '../../../support/memory-log.ts'
import { flipBit, providers, refusalOf } from '../../../support/protocol-providers.ts'

const entries = Array.from({ length: 1_000 }, (_, index) => makeEntry(index))

describe.each(providers)('with $provider', (crypto) => {
  // Each bit of each proof is a check of its own: the slower provider takes the smaller trees.
  const sizes = crypto.provider === 'native' ? [1, 2, 3, 5, 7, 10] : [1, 3, 6]
  const log = makeMemoryLog(crypto, entries, [])
  const head = (size: number) => ({ size, root: log.root(size) })

  const includes = (index: number, size: number) => (proof: readonly Uint8Array[]) =>
    verifyInclusion(crypto, { hash: log.leaves[index] as Uint8Array, index }, head(size), proof)
  const begins = (from: number, to: number) => (proof: readonly Uint8Array[]) =>
    verifyConsistency(crypto, head(from), head(to), proof)

  it.each(sizes)('an inclusion proof in a tree of %i with one other bit is refused', (size) => {
    for (let index = 0; index < size; index++) expectNoOther(includes(index, size), everyBit(log.proof(index, size)))
  })

  it.each(sizes)('a consistency proof to a tree of %i with one other bit is refused', (size) => {
    for (let from = 0; from <= size; from++) expectNoOther(begins(from, size), everyBit(log.consistency(from, size)))
  })

  it('a proof with a hash dropped, added, doubled or moved is refused', () => {
    for (let size = 1; size <= 13; size++) {
      for (let other = 0; other < size; other++) {
        expectNoOther(includes(other, size), rearranged(log.proof(other, size)))
        expectNoOther(begins(other, size), rearranged(log.consistency(other, size)))
      }
    }
  })

  it('a proof that is too short or too long is called so', () => {
    const [inclusion, consistency] = [log.proof(5, 11), log.consistency(5, 11)]
    const messageOf = (verify: (proof: readonly Uint8Array[]) => void, proof: readonly Uint8Array[]) =>
      refusalOf(() => verify(proof)).message
    const more = new Uint8Array(32)
    expect(messageOf(includes(5, 11), inclusion.slice(0, -1))).toBe('The inclusion proof is too short.')
    expect(messageOf(includes(5, 11), [...inclusion, more])).toBe('The inclusion proof is too long.')
    expect(messageOf(begins(5, 11), consistency.slice(0, -1))).toBe('The consistency proof is too short.')
    expect(messageOf(begins(5, 11), [...consistency, more])).toBe('The consistency proof is too long.')
    expect(messageOf(begins(5, 11), [])).toBe('The consistency proof is empty.')
  })

  it('any proof of a larger tree with a bit turned anywhere is refused', () => {
    const pick = fc.tuple(fc.integer({ min: 2, max: entries.length }), fc.nat(), fc.nat())
    fc.assert(
      fc.property(pick, ([size, place, bit]) => {
        const index = place % size
        expectNoOther(includes(index, size), [turned(log.proof(index, size), bit)])
        const from = 1 + (place % (size - 1))
        expectNoOther(begins(from, size), [turned(log.consistency(from, size), bit)])
      }),
      { numRuns: 150 },
    )
  })

  it('a leaf or a root with one other bit is refused', () => {
    const [index, size] = [5, 11]
    const proof = log.proof(index, size)
    const consistency = log.consistency(index, size)
    for (let bit = 0; bit < 256; bit++) {
      const hash = flipBit(log.leaves[index] as Uint8Array, bit)
      const turn = (of: number) => ({ size: of, root: flipBit(log.root(of), bit) })
      const leaf = { hash: log.leaves[index] as Uint8Array, index }
      expectRefused(() => verifyInclusion(crypto, { hash, index }, head(size), proof))
      expectRefused(() => verifyInclusion(crypto, leaf, turn(size), proof))
      expectRefused(() => verifyConsistency(crypto, turn(index), head(size), consistency))
      expectRefused(() => verifyConsistency(crypto, head(index), turn(size), consistency))
    }
  })

  it('no node of the tree passes for a leaf, and no leaf for a node', () => {
    const proof = log.proof(0, 8)
    // The hash over entries 0 and 1, with the proof that is left from there on up.
    const node = { hash: log.root(2), index: 0 }
    expectRefused(() => verifyInclusion(crypto, node, head(8), proof.slice(1)))
    expectRefused(() => verifyInclusion(crypto, node, { size: 4, root: log.root(8) }, [...proof.slice(1), log.root(1)]))
  })

  it('a hash that is not 32 bytes long is refused', () => {
    const proof = log.proof(5, 11)
    const [first, ...rest] = proof as [Uint8Array, ...Uint8Array[]]
    for (const wrong of [
      new Uint8Array(0),
      first.subarray(1),
      Uint8Array.of(...first, 0),
      Uint8Array.of(0, ...first),
    ]) {
      expectRefused(() => includes(5, 11)([wrong, ...rest]))
      expectRefused(() => begins(5, 11)([...log.consistency(5, 11).slice(0, -1), wrong]))
    }
  })
})

function everyBit(proof: readonly Uint8Array[]): Uint8Array[][] {
  return Array.from({ length: proof.length * 256 }, (_, bit) => turned(proof, bit))
}

/** With one bit turned, counted over all hashes; a proof without hashes has none and gets a hash. */
function turned(proof: readonly Uint8Array[], bit: number): Uint8Array[] {
  if (proof.length === 0) return [new Uint8Array(32)]
  const at = Math.floor(bit / 256) % proof.length
  return proof.map((hash, index) => (index === at ? flipBit(hash, bit % 256) : hash))
}

/** Every proof that differs by a hash that is missing, is there in addition, or stands elsewhere. */
function rearranged(proof: readonly Uint8Array[]): Uint8Array[][] {
  const others = [...proof, new Uint8Array(32)]
  const places = proof.map((_, at) => at)
  return [
    ...places.map((at) => proof.toSpliced(at, 1)),
    ...[...places, proof.length].flatMap((at) => others.map((hash) => proof.toSpliced(at, 0, hash))),
    ...places.flatMap((at) =>
      places.slice(at + 1).map((to) => proof.with(at, proof[to] as Uint8Array).with(to, proof[at] as Uint8Array)),
    ),
  ]
}

function expectNoOther(verify: (proof: readonly Uint8Array[]) => void, wrong: readonly Uint8Array[][]): void {
  const codes = new Set(wrong.map((proof) => refusalOf(() => verify(proof)).code))
  if (wrong.length > 0) expect([...codes]).toEqual(['log_invalid'])
}

function expectRefused(action: () => unknown): void {
  expect(refusalOf(action).code).toBe('log_invalid')
}
