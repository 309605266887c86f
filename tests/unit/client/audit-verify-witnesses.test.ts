import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { makeMemoryLog, makeSigner, signCheckpoint } from '../../support/memory-log.ts'
import { runHere } from '../../support/run-here.ts'
import { isForeign, LOG_ORIGIN, makeEntries } from './fake-log.ts'

const crypto = await choosePrimitives()
const SIZE = 100
const signer = makeSigner(crypto, 'cosignature', LOG_ORIGIN)
const [east, west] = ['east.example', 'west.example'].map((name) => makeSigner(crypto, 'cosignature', name, name))
const log = makeMemoryLog(crypto, makeEntries(SIZE), [signer])
const lines = log.exportLines({ from: 0, to: SIZE, size: SIZE, isHidden: isForeign })

const folder = mkdtempSync(join(tmpdir(), 'qflare-witnesses-'))
afterAll(() => rmSync(folder, { recursive: true }))

function verifyLines(changed: readonly string[], ...flags: string[]) {
  const path = join(folder, 'history.jsonl')
  writeFileSync(path, `${changed.join('\n')}\n`)
  return runHere(['audit', 'verify', path, '--key', signer.vkey, ...flags])
}

describe('witnesses', () => {
  const signedBy = (...witnesses: (typeof signer | undefined)[]) => {
    const checkpoint = { origin: LOG_ORIGIN, size: SIZE, root: log.root(SIZE) }
    const signers = [signer, ...witnesses.filter((one) => one !== undefined)]
    return [...lines.slice(0, -1), JSON.stringify({ checkpoint: signCheckpoint(checkpoint, signers) })]
  }
  const both = () => ['--witness', east?.vkey ?? '', '--witness', west?.vkey ?? '']

  it('have to have signed, all that are given or as many as are needed', async () => {
    expect(await verifyLines(signedBy(east, west), ...both())).toMatchObject({ exitCode: 0 })
    const one = await verifyLines(signedBy(east), ...both())
    expect(one).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('and did: east.example') })
    const enough = await verifyLines(signedBy(east), ...both(), '--witnesses-needed', '1')
    expect(enough).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('1 of 2') })
    expect((await verifyLines(signedBy(), ...both(), '--witnesses-needed', '0')).exitCode).toBe(0)
  })

  it('count once, however often they signed', async () => {
    expect((await verifyLines(signedBy(east, east), ...both())).exitCode).toBe(1)
  })

  it('count and are listed once, with whichever keys they signed', async () => {
    const second = makeSigner(crypto, 'cosignature', 'east.example', 'second')
    const flags = [...both(), '--witness', second.vkey]
    expect((await verifyLines(signedBy(east, second), ...flags)).exitCode).toBe(1)
    const run = await verifyLines(signedBy(east, second), ...flags, '--witnesses-needed', '1', '--json')
    const { witnesses } = JSON.parse(run.stdout)
    expect([run.exitCode, witnesses.given, witnesses.signed.length]).toEqual([0, 2, 1])
  })

  it.each([
    ['at no time', 0, 1],
    ['two days from now', Math.floor(Date.now() / 1000) + 2 * 86_400, 1],
    ['an hour from now', Math.floor(Date.now() / 1000) + 3600, 0],
    ['beyond the year 9999', 253_402_300_800, 1],
  ])('that signed %s', async (_when, at, exitCode) => {
    const checkpoint = { origin: LOG_ORIGIN, size: SIZE, root: log.root(SIZE) }
    const note = `${signCheckpoint(checkpoint, [signer])}${east?.line(checkpoint, at)}\n`
    const signed = [...lines.slice(0, -1), JSON.stringify({ checkpoint: note })]
    expect((await verifyLines(signed, '--witness', east?.vkey ?? '')).exitCode).toBe(exitCode)
  })

  it.each([
    ['the key of the log under another name', () => [makeSigner(crypto, 'cosignature', 'other.example').vkey]],
    ['a key of another kind', () => [makeSigner(crypto, 'mlDsa87', 'other.example', 'other').vkey]],
    [
      'one key under two names',
      () => [east?.vkey ?? '', makeSigner(crypto, 'cosignature', 'other.example', 'east.example').vkey],
    ],
  ])('are not %s', async (_what, vkeys) => {
    const run = await verifyLines(lines, ...vkeys().flatMap((one) => ['--witness', one]))
    expect(run).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('--witness: ') })
  })
})
