import { describe, expect, it } from 'vitest'
import { toBase64url } from '../../../../protocol/encoding.ts'
import { createExportVerifier } from '../../../../protocol/log/audit-export.ts'
import { type CheckpointKeys, verifyCheckpoint } from '../../../../protocol/log/checkpoint.ts'
import { makeEntry, makeMemoryLog, makeSigner, ORIGIN, signCheckpoint } from '../../../support/memory-log.ts'
import { native as crypto, flipBit } from '../../../support/protocol-providers.ts'

// The first and the last line of an export: what stands around the entries.
const SIZE = 20
const FROM = 5
const TO = 13
const signer = makeSigner(crypto, 'cosignature')
const keys = { log: [signer.by] }
const entries = Array.from({ length: SIZE }, (_, index) => makeEntry(index))
const log = makeMemoryLog(crypto, entries, [signer])
const part = log.exportLines({ from: FROM, to: TO, size: SIZE })
const [header = '', end = ''] = [part[0], part.at(-1)]
const unsigned = {
  index: undefined,
  reason: 'At least one entry before 13 is not what the checkpoint was signed over.',
}

function problemOf(lines: readonly string[], by: CheckpointKeys = keys) {
  const verifier = createExportVerifier(crypto, by)
  for (const line of lines) verifier.push(line)
  return verifier.finish().problem
}
const withHeader = (line: string) => part.with(0, line)
const withEnd = (line: string) => part.with(-1, line)
const rewrite = (line: string, change: object) => JSON.stringify({ ...(JSON.parse(line) as object), ...change })

describe('the first line of an export', () => {
  const hashes = (JSON.parse(header) as { frontier: string[] }).frontier

  it.each<[string, string]>([
    ['another version', rewrite(header, { v: 2 })],
    ['no version', header.replace('"v":1,', '')],
    ['version "1"', rewrite(header, { v: '1' })],
    ['an origin that is no text', rewrite(header, { origin: 7 })],
    ['a negative beginning', rewrite(header, { from: -1 })],
    ['a beginning that is no integer', rewrite(header, { from: 5.5 })],
    ['a beginning behind its end', rewrite(header, { to: 4 })],
    ['an end of 2^53', rewrite(header, { to: 2 ** 53 })],
    ['no frontier', rewrite(header, { frontier: undefined })],
    ['a frontier that is no list', rewrite(header, { frontier: {} })],
    ['a frontier of numbers', rewrite(header, { frontier: [1, 2] })],
    ['a hash too few', rewrite(header, { frontier: hashes.slice(1) })],
    ['a hash too many', rewrite(header, { frontier: [...hashes, hashes[0]] })],
    ['a hash of 31 bytes', rewrite(header, { frontier: [hashes[0], toBase64url(new Uint8Array(31))] })],
    ['a member more', rewrite(header, { note: 'all is well' })],
    ['a member twice, of which a reader sees the first', header.replace('"from":5', '"from":0,"from":5')],
    ['its members in another order', header.replace('"from":5,"to":13', '"to":13,"from":5')],
    ['a beginning that is minus zero', log.exportLines({ from: 0, to: 3, size: 3 })[0]?.replace('m":0', 'm":-0') ?? ''],
    ['a space behind it', `${header} `],
    ['a byte order mark', `\ufeff${header}`],
    ['an entry in its place', part[1] ?? ''],
    ['nested without end', '['.repeat(100_000)],
    ['no JSON', 'export'],
  ])('with %s is refused, and nothing behind it is read', (_, line) => {
    const told: number[] = []
    const verifier = createExportVerifier(crypto, keys, (index) => told.push(index))
    for (const text of withHeader(line)) verifier.push(text)
    const { problem, checkpoint } = verifier.finish()
    expect([problem?.index, checkpoint, told]).toEqual([undefined, undefined, []])
    expect(problem).toBeDefined()
  })

  it('with another hash in its frontier, or the two changed for each other, is refused by the checkpoint', () => {
    const flipped = toBase64url(flipBit(Buffer.from(hashes[0] ?? '', 'base64url'), 7))
    expect(problemOf(withHeader(rewrite(header, { frontier: [flipped, hashes[1]] })))).toEqual(unsigned)
    expect(problemOf(withHeader(rewrite(header, { frontier: hashes.toReversed() })))).toEqual(unsigned)
  })

  it('with another beginning or end than its entries have is refused', () => {
    expect(problemOf(withHeader(rewrite(header, { from: 6 })))?.index).toBe(6)
    expect(problemOf(withHeader(rewrite(header, { to: 12 })))?.index).toBeUndefined()
    expect(problemOf(withHeader(rewrite(header, { to: 12 })))?.reason).toBe(
      'The export does not end with a checkpoint.',
    )
    expect(problemOf(withHeader(rewrite(header, { to: 14 })))?.index).toBe(13)
    expect(problemOf(withHeader(rewrite(header, { to: 4 })))?.reason).toBe(
      'The first line is not that of an export of version 1.',
    )
  })

  it('of another origin than the checkpoint is refused', () => {
    expect(problemOf(withHeader(rewrite(header, { origin: 'other.example/audit' })))).toEqual({
      index: undefined,
      reason: `The export is of other.example/audit, its checkpoint of ${ORIGIN}.`,
    })
  })
})

describe('the last line of an export', () => {
  const { checkpoint, consistency } = JSON.parse(end) as { checkpoint: string; consistency: string[] }

  it.each<[string, string]>([
    ['no checkpoint', rewrite(end, { checkpoint: undefined })],
    ['a checkpoint that is no text', rewrite(end, { checkpoint: {} })],
    ['an unsigned checkpoint', rewrite(end, { checkpoint: `${checkpoint.split('\n\n')[0]}\n` })],
    ['a consistency that is no list', rewrite(end, { consistency: 'x' })],
    ['a member more', rewrite(end, { note: 'all is well' })],
    ['its checkpoint twice', end.replace('"checkpoint":', '"checkpoint":"x","checkpoint":')],
    ['a space', `${end} `],
    ['no JSON', 'end'],
  ])('with %s is refused', (_, line) => {
    const problem = problemOf(withEnd(line))
    expect(problem).toBeDefined()
    expect(problem?.index).toBeUndefined()
    expect(problem?.reason).not.toBe(unsigned.reason)
  })

  it.each<[string, readonly string[] | undefined]>([
    ['a hash less', consistency.slice(1)],
    ['a hash more', [...consistency, consistency[0] ?? '']],
    ['its hashes in another order', consistency.toReversed()],
    ['none', undefined],
  ])('with %s in its consistency proof is refused', (_, hashes) => {
    expect(problemOf(withEnd(rewrite(end, { consistency: hashes })))).toEqual(unsigned)
  })

  it('with a consistency proof where there is nothing to prove is refused, but for an empty one', () => {
    const whole = log.exportLines({ from: 0, to: SIZE, size: SIZE })
    const last = whole.at(-1) ?? ''
    expect(problemOf(whole.with(-1, rewrite(last, { consistency: [] })))).toBeUndefined()
    expect(problemOf(whole.with(-1, rewrite(last, { consistency })))?.reason).toContain('At least one entry before 20')
  })

  it('with the checkpoint of a smaller tree than it exports is refused', () => {
    expect(problemOf(withEnd(rewrite(end, { checkpoint: log.checkpoint(TO - 1) })))).toEqual(unsigned)
    expect(problemOf(withEnd(JSON.stringify({ checkpoint: log.checkpoint(TO - 1) })))).toEqual(unsigned)
  })

  it('with the checkpoint of another log is refused, and so is one under keys of another', () => {
    const stranger = makeSigner(crypto, 'cosignature', ORIGIN, 'another log')
    const theirs = makeMemoryLog(crypto, entries, [stranger])
    const reason = `No ML-DSA-44 key that is given for ${ORIGIN} signed the checkpoint.`
    expect(problemOf(withEnd(rewrite(end, { checkpoint: theirs.checkpoint() })))).toEqual({ index: undefined, reason })
    expect(problemOf(part, { log: [stranger.by] })).toEqual({ index: undefined, reason })
  })

  it('with a checkpoint that its log signed over another tree is refused', () => {
    const other = signCheckpoint({ origin: ORIGIN, size: SIZE, root: flipBit(log.root(SIZE), 0) }, [signer])
    expect(verifyCheckpoint(crypto, other, keys).size).toBe(SIZE)
    expect(problemOf(withEnd(rewrite(end, { checkpoint: other })))).toEqual(unsigned)
  })
})

describe('an export', () => {
  it('that ends too early names the entry that is missing, where one is', () => {
    for (const [lines, index] of [
      [[], undefined],
      [part.slice(0, 1), FROM],
      [part.slice(0, 4), FROM + 3],
      [part.slice(0, -1), undefined],
    ] as const) {
      expect(problemOf(lines)).toEqual({ index, reason: 'The export ends too early.' })
    }
  })

  it('that goes on behind its checkpoint is refused', () => {
    for (const line of ['', ' ', '{}', end, header, part[1] ?? '']) {
      expect(problemOf([...part, line])).toEqual({
        index: undefined,
        reason: 'The export goes on behind its checkpoint.',
      })
    }
  })

  it('says the first thing that is wrong, whatever follows', () => {
    const lines = part.with(3, (part[3] ?? '').replace('"n":7', '"n":8'))
    expect(problemOf(lines)?.index).toBe(7)
    expect(problemOf([...lines, 'x'])?.index).toBe(7)
    expect(problemOf(lines.with(6, 'x'))?.index).toBe(7)
  })

  it('that claims 2^53 entries takes no room for them', () => {
    const verifier = createExportVerifier(crypto, keys)
    verifier.push(JSON.stringify({ v: 1, origin: ORIGIN, from: 0, to: Number.MAX_SAFE_INTEGER, frontier: [] }))
    verifier.push(part[1]?.replace('"index":5', '"index":0') ?? '')
    expect(verifier.progress()).toEqual({ done: 1, total: Number.MAX_SAFE_INTEGER })
  })
})
