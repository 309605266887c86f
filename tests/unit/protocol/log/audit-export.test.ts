import { describe, expect, it } from 'vitest'
import { createExportVerifier, type ExportReport, formatExportEntry } from '../../../../protocol/log/audit-export.ts'
import type { CheckpointKeys } from '../../../../protocol/log/checkpoint.ts'
import { leafHash } from '../../../../protocol/log/merkle.ts'
import { makeEntry, makeMemoryLog, makeSigner, ORIGIN } from '../../../support/memory-log.ts'
import { providers, toUtf8 } from '../../../support/protocol-providers.ts'

const SIZE = 40
const entries = Array.from({ length: SIZE }, (_, index) => makeEntry(index))
const unsigned = 'At least one entry before 40 is not what the checkpoint was signed over.'

describe.each(providers)('with $provider an export', (crypto) => {
  const signer = makeSigner(crypto, 'cosignature')
  const keys = { log: [signer.by] }
  const log = makeMemoryLog(crypto, entries, [signer])
  const whole = log.exportLines({ from: 0, to: SIZE, size: SIZE })
  const seen: [number, unknown][] = []

  function verify(lines: readonly string[], by: CheckpointKeys = keys): ExportReport {
    seen.length = 0
    const verifier = createExportVerifier(crypto, by, (index, event) => seen.push([index, event]))
    for (const line of lines) verifier.push(line)
    return verifier.finish()
  }
  const problemOf = (lines: readonly string[], by?: CheckpointKeys) => verify(lines, by).problem
  /** With the line of entry `index` changed. */
  const withEntry = (index: number, change: (line: string) => string) =>
    whole.with(index + 1, change(whole[index + 1] ?? ''))

  it('of a whole log is intact, and every event in it is told once, in order', () => {
    const { problem, checkpoint, ...rest } = verify(whole)
    expect(problem).toBeUndefined()
    expect(rest).toEqual({ origin: ORIGIN, from: 0, to: SIZE, events: SIZE, hashesOnly: 0 })
    expect([checkpoint?.size, checkpoint?.origin]).toEqual([SIZE, ORIGIN])
    expect(seen).toEqual(entries.map((entry, index) => [index, JSON.parse(entry)]))
  })

  it('of any part, up to a checkpoint of any later size, is intact', () => {
    for (const from of [0, 1, 7, 16, 31, 39, 40]) {
      for (const to of [from, from + 1, 24, 32, 40].filter((end) => end >= from && end <= SIZE)) {
        for (const size of new Set([to, 33, SIZE].filter((one) => one >= to))) {
          const { problem, events } = verify(log.exportLines({ from, to, size }))
          expect([problem, events], `${from} to ${to} of ${size}`).toEqual([undefined, to - from])
        }
      }
    }
  })

  it('of an empty log is intact', () => {
    const { problem, checkpoint } = verify(log.exportLines({ from: 0, to: 0, size: 0 }))
    expect([problem, checkpoint?.size]).toEqual([undefined, 0])
  })

  it('in which entries are there by their hash alone is intact, and says how many', () => {
    const isHidden = (index: number) => index % 3 === 0
    const { problem, events, hashesOnly } = verify(log.exportLines({ from: 0, to: SIZE, size: SIZE, isHidden }))
    expect([problem, events, hashesOnly]).toEqual([undefined, 26, 14])
    expect(seen.map(([index]) => index)).toEqual(entries.map((_, index) => index).filter((index) => !isHidden(index)))
  })

  it('without the hashes of the events that it holds is intact', () => {
    const lines = whole.map((line) => line.replace(/(?<="event":.*),"leafHash":"[^"]+"/, ''))
    expect(lines).not.toEqual(whole)
    expect(problemOf(lines)).toBeUndefined()
  })

  it('whose event was altered names it, and does not tell it', () => {
    const lines = withEntry(11, (line) => line.replace('"n":11', '"n":12'))
    expect(problemOf(lines)).toEqual({ index: 11, reason: 'Entry 11 is not the one that was logged.' })
    expect(seen.map(([index]) => index)).toEqual(entries.map((_, index) => index).filter((index) => index !== 11))
  })

  it.each(['null', '[]', '"text"', '7', 'true'])('with %s for an event names it, and goes on', (nothing) => {
    for (const lines of [
      withEntry(11, (line) => line.replace(/"event":.*,"leafHash"/, `"event":${nothing},"leafHash"`)),
      withEntry(11, () => `{"index":11,"event":${nothing}}`),
      withEntry(11, () => formatExportEntry(11, nothing, leafHash(crypto, toUtf8(nothing)))),
    ]) {
      expect(problemOf(lines)).toEqual({ index: 11, reason: 'Entry 11 is not the one that was logged.' })
      expect(seen.map(([index]) => index)).toEqual(entries.map((_, index) => index).filter((index) => index !== 11))
    }
  })

  it('in which several events were altered names the first', () => {
    const lines = withEntry(30, (line) => line.replace('"n":30', '"n":0')).with(4, withEntry(3, alter)[4] ?? '')
    expect(problemOf(lines)?.index).toBe(3)
  })

  it('whose event was altered together with its hash is refused by the checkpoint', () => {
    const forged = makeMemoryLog(crypto, entries.with(11, makeEntry(99)), [signer])
    const lines = forged.exportLines({ from: 0, to: SIZE, size: SIZE })
    expect(problemOf(lines.with(-1, whole.at(-1) ?? ''))).toEqual({ index: undefined, reason: unsigned })
    const hidden = forged.exportLines({ from: 0, to: SIZE, size: SIZE, isHidden: () => true })
    expect(problemOf(hidden.with(-1, whole.at(-1) ?? ''))).toEqual({ index: undefined, reason: unsigned })
  })

  it.each([0, 17, 38])('without the line of entry %i names it', (index) => {
    expect(problemOf(whole.toSpliced(index + 1, 1))).toEqual({
      index,
      reason: `Entry ${index} is missing or not in its place.`,
    })
  })

  it('without the line of its last entry names it', () => {
    expect(problemOf(whole.toSpliced(SIZE, 1))?.index).toBe(39)
  })

  it('with two lines changed for each other names the first of them', () => {
    const lines = whole.with(6, whole[9] ?? '').with(9, whole[6] ?? '')
    expect(problemOf(lines)).toEqual({ index: 5, reason: 'Entry 5 is missing or not in its place.' })
  })

  it('with two events changed for each other under their own numbers is refused', () => {
    const renumber = (line: string | undefined, index: number) =>
      (line ?? '').replace(/"index":\d+/, `"index":${index}`)
    const lines = whole.with(6, renumber(whole[7], 5)).with(7, renumber(whole[6], 6))
    expect(problemOf(lines)).toEqual({ index: undefined, reason: unsigned })
  })

  it('with a line twice names where it stands again', () => {
    expect(problemOf(whole.toSpliced(8, 0, whole[7] ?? ''))?.index).toBe(7)
  })

  it.each<[string, (of: string) => string]>([
    ['a member twice, of which a reader sees the first', (of) => of.replace('"data":', '"data":{"n":0},"data":')],
    ['a member of its event twice inside', (of) => of.replace('"n":11', '"n":0,"n":11')],
    ['its event twice', (of) => of.replace('"event":', '"event":{},"event":')],
    ['its index twice', (of) => of.replace('"index":11', '"index":10,"index":11')],
    ['a member more', (of) => of.replace('{"index":11,', '{"index":11,"note":"all is well",')],
    ['a space', (of) => of.replace('"n":11', '"n": 11')],
    ['another spelling of a number', (of) => of.replace('"n":11', '"n":1.1e1')],
    ['an escape that says the same', (of) => of.replace('session.', '\\u0073ession.')],
    ['members in another order', (of) => of.replace(/^\{("index":\d+),("event":.*),("leafHash".*)\}$/, '{$2,$1,$3}')],
    ['an event nested without end', () => `{"index":11,"event":{"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}}`],
    ['a lone surrogate', (of) => of.replace('session.', '\\ud800')],
    ['a number that is none', (of) => of.replace('"n":11', '"n":1e999')],
    ['neither event nor hash', () => '{"index":11}'],
    ['a hash of 31 bytes', () => `{"index":11,"leafHash":"${Buffer.alloc(31, 1).toString('base64url')}"}`],
    ['a hash that is no text', () => '{"index":11,"leafHash":7}'],
    ['a hash that is null', (of) => of.replace(/"leafHash":".*"/, '"leafHash":null')],
    ['a hash with padding', (of) => of.replace(/"\}$/, '="}')],
    ['a CR at its end', (of) => `${of}\r`],
    ['no JSON', () => 'all is well'],
    ['nothing', () => ''],
    ['a list', () => '[]'],
    ['null', () => 'null'],
    ['half of it', (of) => of.slice(0, of.length >> 1)],
    ['its index as text', (of) => of.replace('"index":11', '"index":"11"')],
    ['its index as 11.0', (of) => of.replace('"index":11', '"index":11.0')],
  ])('with %s in a line names that line', (_, change) => {
    const lines = withEntry(11, change)
    expect(lines).not.toEqual(whole)
    const { problem, events } = verify(lines)
    expect(problem?.index).toBe(11)
    // What stands behind a line that is not one is not read on.
    expect([events, seen.length]).toEqual([11, 11])
  })

  it('is not read on behind a line that does not belong there', () => {
    const { problem, events } = verify(whole.toSpliced(12, 0, 'all is well'))
    expect([problem?.index, events, seen.length]).toEqual([11, 11, 11])
  })

  it('tells how far it is, out of as many entries as its first line says', () => {
    const progress: unknown[] = []
    const verifier = createExportVerifier(crypto, keys)
    progress.push(verifier.progress())
    for (const text of whole.slice(0, 3)) {
      verifier.push(text)
      progress.push(verifier.progress())
    }
    expect(progress).toEqual([
      { done: 0, total: undefined },
      { done: 0, total: SIZE },
      { done: 1, total: SIZE },
      { done: 2, total: SIZE },
    ])
  })
})

function alter(line: string): string {
  return line.replace(/"n":\d+/, '"n":77')
}
