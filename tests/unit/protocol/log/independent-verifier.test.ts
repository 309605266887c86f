import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ProtocolError } from '../../../../protocol/errors.ts'
import { createExportVerifier } from '../../../../protocol/log/audit-export.ts'
import { verifyTlogProof } from '../../../../protocol/log/tlog-proof.ts'
import * as stranger from '../../../interop/independent-log-verifier.js'
import { makeEntry, makeMemoryLog, makeSigner } from '../../../support/memory-log.ts'
import { native as crypto, flipBit, toUtf8 } from '../../../support/protocol-providers.ts'

// The verifier in tests/interop shares no code with ours: where one of them takes what the other refuses, one is wrong.
const SIZE = 300
const signers = [makeSigner(crypto, 'cosignature'), makeSigner(crypto, 'mlDsa87')]
const keys = { log: signers.map(({ by }) => by) }
const vkeys = signers.map(({ vkey }) => vkey)
const entries = Array.from({ length: SIZE }, (_, index) => makeEntry(index))
const log = makeMemoryLog(crypto, entries, signers)

/** One change somewhere in a text: a bit turned, a piece removed, doubled or moved. */
const someChange = fc.tuple(fc.constantFrom('bit', 'removed', 'doubled', 'moved'), fc.nat(), fc.nat(), fc.nat(90))
type Change = typeof someChange extends fc.Arbitrary<infer T> ? T : never

function change(text: string, [how, place, other, length]: Change): string {
  const bytes = Buffer.from(text)
  if (how === 'bit') return Buffer.from(flipBit(bytes, place % (bytes.length * 8))).toString('latin1')
  const at = place % text.length
  const piece = text.slice(at, at + length)
  const without = text.slice(0, at) + text.slice(at + length)
  if (how === 'removed') return without
  const to = other % (without.length + 1)
  return how === 'doubled'
    ? text.slice(0, at) + piece + text.slice(at)
    : without.slice(0, to) + piece + without.slice(to)
}

describe('a verifier that shares nothing with ours', () => {
  it('takes every proof that ours takes', () => {
    for (const [index, size] of [
      [0, 1],
      [0, 300],
      [299, 300],
      [128, 255],
      [256, 257],
    ] as const) {
      const proof = log.proofText(index, size)
      const entry = toUtf8(entries[index] ?? '')
      expect(verifyTlogProof(crypto, proof, entry, keys).index).toBe(index)
      expect(stranger.verifyProof(proof, entry, vkeys).index).toBe(BigInt(index))
      expect(stranger.verifyProof(proof, JSON.parse(entries[index] ?? ''), vkeys).checkpoint.size).toBe(BigInt(size))
    }
  })

  it('takes of changed proofs what ours takes, which is none that says anything else', () => {
    // The checkpoint alone is long: most changes would be in its signatures.
    const proof = log.proofText(257)
    const entry = toUtf8(entries[257] ?? '')
    const head = proof.indexOf('\u2014')
    const said = provedBy(proof, entry)
    fc.assert(
      fc.property(someChange, fc.boolean(), (how, isInHead) => {
        const changed = isInHead ? change(proof.slice(0, head), how) + proof.slice(head) : change(proof, how)
        const isOurs = isTakenByOurs(changed, entry)
        expect(isTaken(() => stranger.verifyProof(changed, entry, vkeys))).toBe(isOurs)
        // A whole line by a key that nobody knows may be there twice (C2SP signed-note): what is proved is the same.
        if (isOurs) expect(provedBy(changed, entry)).toEqual(said)
      }),
      { numRuns: 600 },
    )
  })

  it('takes every export that ours takes, and sees the same in it', async () => {
    for (const part of [
      { from: 0, to: SIZE, size: SIZE },
      { from: 5, to: 77, size: 290 },
      { from: 77, to: 77, size: 290 },
      { from: 0, to: 0, size: 0 },
      { from: 256, to: 290, size: SIZE, isHidden: (index: number) => index % 2 === 0 },
    ]) {
      const lines = log.exportLines(part)
      const seen: [number, unknown][] = []
      expect(ours(lines, seen)).toBe(true)
      const { from, to, checkpoint, events, leaves } = await stranger.verifyExport(lines, vkeys)
      expect([from, to, Number(checkpoint.size), leaves.length]).toEqual([part.from, part.to, part.size, to - from])
      expect([...events.entries()].flatMap(([at, event]) => (event === undefined ? [] : [[from + at, event]]))).toEqual(
        seen,
      )
    }
  })

  it('takes of changed exports what ours takes, which is none that says anything else', async () => {
    const lines = log.exportLines({ from: 5, to: 12, size: 290 })
    const text = `${lines.join('\n')}\n`
    const end = text.indexOf('\u2014')
    const property = fc.asyncProperty(someChange, fc.boolean(), async (how, isInEntries) => {
      const changed = isInEntries ? change(text.slice(0, end), how) + text.slice(end) : change(text, how)
      const all = changed.replace(/\n$/, '').split('\n')
      const isOurs = ours(all)
      const isTheirs = await stranger.verifyExport(all, vkeys).then(
        () => true,
        () => false,
      )
      expect(isTheirs, changed).toBe(isOurs)
      if (isOurs && changed !== text) {
        // All that may be missing: a leaf's hash beside its event, and the last newline.
        expect(`${withoutHashes(lines).join('\n')}\n`).toContain(withoutHashes(all).join('\n'))
      }
    })
    await fc.assert(property, { numRuns: 600 })
  })

  it('computes the root of a checkpoint from the tiles alone, and refuses a tile with one other bit', async () => {
    const root = Buffer.from(log.root(SIZE))
    const fetchTile = async (path: string) => log.tile(path)
    expect((await stranger.rootFromTiles(SIZE, fetchTile)).root.equals(root)).toBe(true)
    const changed = (which: string) => async (path: string) =>
      path === which ? flipBit(log.tile(path), 77) : log.tile(path)
    const last = await stranger.rootFromTiles(SIZE, changed('0/001.p/44'))
    expect(last.root.equals(root)).toBe(false)
    for (const path of ['0/000', '1/000.p/1']) {
      await expect(stranger.rootFromTiles(SIZE, changed(path))).rejects.toThrow('tile 0 below level 1 differs')
    }
  })

  function provedBy(proof: string, entry: Uint8Array) {
    const { index, checkpoint } = verifyTlogProof(crypto, proof, entry, keys)
    return {
      index,
      origin: checkpoint.origin,
      size: checkpoint.size,
      root: Buffer.from(checkpoint.root).toString('hex'),
    }
  }

  function isTakenByOurs(proof: string, entry: Uint8Array): boolean {
    try {
      verifyTlogProof(crypto, proof, entry, keys)
      return true
    } catch (error) {
      if (error instanceof ProtocolError) return false
      throw error
    }
  }

  function ours(lines: readonly string[], seen: [number, unknown][] = []): boolean {
    const verifier = createExportVerifier(crypto, keys, (index, event) => seen.push([index, event]))
    for (const line of lines) verifier.push(line)
    return verifier.finish().problem === undefined
  }
})

function withoutHashes(lines: readonly string[]): string[] {
  return lines.map((line) => line.replace(/(?<="event":.*),"leafHash":"[^"]+"/, ''))
}

function isTaken(verify: () => unknown): boolean {
  try {
    verify()
    return true
  } catch {
    return false
  }
}
