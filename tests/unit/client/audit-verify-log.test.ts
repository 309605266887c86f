import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { openAuditor } from '../../../client/auditor.ts'
import { verifyNewest } from '../../../client/command/verify-newest.ts'
import { toBase64url } from '../../../protocol/encoding.ts'
import { verifyCheckpoint } from '../../../protocol/log/checkpoint.ts'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { type MemoryLog, makeMemoryLog, makeSigner, SIGNED_AT, signCheckpoint } from '../../support/memory-log.ts'
import { runHere } from '../../support/run-here.ts'
import { type FakeLog, LOG_ORIGIN, makeEntries, refuse, sendJson, startFakeLog } from './fake-log.ts'

const crypto = await choosePrimitives()
const SIZE = 600
const witness = makeSigner(crypto, 'cosignature', 'east.example', 'east')

let folder: string
let fake: FakeLog
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'qflare-verify-log-'))
  fake = await startFakeLog(crypto, SIZE)
})
afterEach(() => {
  fake.tamper = undefined
  fake.published = SIZE
})
afterAll(async () => {
  await fake.close()
  rmSync(folder, { recursive: true })
})

const vkey = () => fake.signers[0]?.vkey ?? ''
const text = (body: string) => ({ type: 'text/plain', body })

function forked(same: number): MemoryLog {
  const entries = makeEntries(SIZE).map((entry, at) => (at < same ? entry : entry.replace('notice', 'info')))
  return makeMemoryLog(crypto, entries, fake.signers)
}

/** A file of entries `from` to `to` of 600, held against the log of the fake server. */
async function verify(
  part: { from?: number; to?: number; log?: MemoryLog },
  flags: readonly string[] = [],
): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const { from = 0, to = SIZE, log = fake.log } = part
  const path = join(folder, 'history.jsonl')
  writeFileSync(path, `${log.exportLines({ from, to, size: SIZE }).join('\n')}\n`)
  return runHere(['audit', 'verify', path, '--key', vkey(), '--log', fake.url, ...flags])
}

function signed(size: number, { at = SIGNED_AT, log = fake.log, by = [witness] } = {}): string {
  return signCheckpoint({ origin: LOG_ORIGIN, size, root: log.root(size) }, [...fake.signers, ...by], at)
}

describe('a log that is shorter than the file', () => {
  it('was taken back, and has the same history as far as it goes', async () => {
    fake.published = 300
    const run = await verify({})
    expect(run.exitCode).toBe(1)
    expect(run.stdout).toMatch(/^problem +The log has 300 entries now, .* 600 of it were signed/m)
    expect(run.stdout).toContain('taken back; the 300 that it has are the first of these')
  })

  it('is a fork where its entries are others', async () => {
    const other = forked(100)
    fake.tamper = (path) => (path.endsWith('/checkpoint') ? text(other.checkpoint(300)) : undefined)
    expect(await verify({})).toMatchObject({ exitCode: 1, stdout: expect.stringMatching(/The log has 300 .* a fork/) })
  })

  it('is not called either of a file that does not hold its entries', async () => {
    fake.published = 300
    for (const part of [{ from: 1 }, { to: 299 }]) {
      const { exitCode, stdout } = await verify(part)
      expect([exitCode, /: it was taken back\.$/m.test(stdout)]).toEqual([1, true])
    }
  })

  it('was begun anew when it has none', async () => {
    fake.published = 0
    expect(await verify({})).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('has 0 entries now') })
  })
})

describe('a log whose newest checkpoint', () => {
  it('is signed before that of the file was taken back', async () => {
    const older = signed(SIZE, { at: SIGNED_AT - 1, by: [] })
    fake.tamper = (path) => (path.endsWith('/checkpoint') ? text(older) : undefined)
    expect(await verify({})).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('The log has 600 entries') })
  })

  it.each([400, 404])('it refuses to prove (%i) is a finding, with a report', async (status) => {
    const longer = makeMemoryLog(crypto, makeEntries(SIZE + 20), fake.signers)
    fake.tamper = (path) => {
      if (path.endsWith('/checkpoint')) return text(longer.checkpoint())
      return path.includes('/consistency') ? refuse(status, 'malformed') : undefined
    }
    const run = await verify({}, ['--json'])
    expect(run.exitCode).toBe(1)
    const { verified, problem } = JSON.parse(run.stdout)
    expect([verified, problem.reason]).toEqual([false, expect.stringMatching(/600 and 620 .* refuses the proof/)])
  })

  it.each([500, 503])('it does not give (%i) says nothing of it', async (status) => {
    fake.tamper = (path) => (path.endsWith('/checkpoint') ? refuse(status, 'unavailable') : undefined)
    expect(await verify({})).toMatchObject({ exitCode: 3, stdout: '' })
  })
})

describe('witnesses', () => {
  const held = () => verifyCheckpoint(crypto, fake.log.checkpoint(), { log: fake.signers.map(({ by }) => by) })
  /** The log's witnessed checkpoints one after the other, the last for ever. */
  async function follow(...answers: string[]) {
    let pauses = 0
    let asked = 0
    fake.tamper = (path) =>
      path.endsWith('witnessed=true') ? text(answers[Math.min(asked++, answers.length - 1)] ?? '') : undefined
    const auditor = openAuditor({ url: fake.url, crypto })
    const policy = { log: fake.signers.map(({ by }) => by), witnesses: [witness.by], witnessesNeeded: 1 }
    const wait = async () => void (pauses += 1)
    const { witnessed } = await verifyNewest(crypto, auditor, policy, held(), { wait })
    return { size: witnessed?.size, pauses }
  }

  it('are waited for while they are behind a busy log, for some seconds and no more', async () => {
    expect(await follow(signed(SIZE))).toEqual({ size: SIZE, pauses: 0 })
    expect(await follow(signed(580), signed(590), signed(SIZE))).toEqual({ size: SIZE, pauses: 2 })
    expect(await follow(signed(580))).toEqual({ size: 580, pauses: 9 })
  })

  it('that signed less than the file are not enough, of any history', { timeout: 60_000 }, async () => {
    for (const log of [fake.log, forked(100)]) {
      fake.tamper = (path) => {
        if (path.endsWith('witnessed=true')) return text(signed(100, { log }))
        if (path.endsWith('/checkpoint')) return text(log.checkpoint())
        const { searchParams } = new URL(path, fake.url)
        const [from, to] = [Number(searchParams.get('from')), Number(searchParams.get('to'))]
        return sendJson({ from, to, hashes: log.consistency(from, to).map(toBase64url) })
      }
      const run = await verify({ log }, ['--witness', witness.vkey, '--json'])
      expect(run.exitCode).toBe(1)
      expect(JSON.parse(run.stdout)).toMatchObject({
        problem: { reason: 'The witnesses signed 100 of 600 entries.' },
        witnesses: { size: 100 },
      })
    }
  })

  it('whose signatures are in the file are enough for it', async () => {
    const path = join(folder, 'witnessed.jsonl')
    const lines = fake.log.exportLines({ from: 0, to: SIZE, size: SIZE })
    writeFileSync(path, `${lines.with(-1, JSON.stringify({ checkpoint: signed(SIZE) })).join('\n')}\n`)
    fake.tamper = (asked) => (asked.endsWith('witnessed=true') ? text(signed(100)) : undefined)
    const run = await runHere(['audit', 'verify', path, '--key', vkey(), '--log', fake.url, '--witness', witness.vkey])
    expect(run).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('1 of 1, over 600 entries') })
  })

  it('that have not signed for ten minutes are named, and those who have are not', async () => {
    const note = (ago: number) => {
      const checkpoint = { origin: LOG_ORIGIN, size: SIZE, root: fake.log.root(SIZE) }
      return text(`${signCheckpoint(checkpoint, fake.signers)}${witness.line(checkpoint, SIGNED_AT - ago)}\n`)
    }
    for (const [ago, isStale] of [
      [600, false],
      [601, true],
    ] as const) {
      fake.tamper = (path) => (path.endsWith('witnessed=true') ? note(ago) : undefined)
      const { exitCode, stdout } = await verify({}, ['--witness', witness.vkey])
      expect([exitCode, /^warning +east\.example has not signed/m.test(stdout)]).toEqual([0, isStale])
    }
  })
})
