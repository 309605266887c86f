import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { toBase64url } from '../../../protocol/encoding.ts'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { makeMemoryLog, makeSigner, signCheckpoint } from '../../support/memory-log.ts'
import { runHere } from '../../support/run-here.ts'
import { newSigner } from './fake-authority.ts'
import { auditorToken, type FakeLog, LOG_ORIGIN, makeEntries, refuse, sendJson, startFakeLog } from './fake-log.ts'

const crypto = await choosePrimitives()
const SIZE = 600
const witness = makeSigner(crypto, 'cosignature', 'east.example', 'east')

let folder: string
let fake: FakeLog
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'qflare-verify-url-'))
  writeFileSync(inFolder('token'), auditorToken)
  fake = await startFakeLog(crypto, SIZE)
})
afterEach(() => {
  fake.tamper = undefined
  fake.published = SIZE
  fake.requests.length = 0
})
afterAll(async () => {
  await fake.close()
  rmSync(folder, { recursive: true })
})

const inFolder = (name: string) => join(folder, name)
const vkey = () => fake.signers[0]?.vkey ?? ''

/** As an auditor whose server this is. */
function verify(
  flags: readonly string[],
  env: Record<string, string> = { QFLARE_ADMIN_TOKEN_FILE: inFolder('token') },
) {
  return runHere(['audit', 'verify', fake.url, ...flags], { env: { QFLARE_URL: fake.url, ...env } })
}

/** A log that grew from the first `same` entries in another way. */
function forked(same: number) {
  const entries = makeEntries(SIZE + 20).map((entry, at) => (at < same ? entry : entry.replace('notice', 'info')))
  return makeMemoryLog(crypto, entries, fake.signers)
}

const text = (body: string) => ({ type: 'text/plain', body })

describe('the log of a server', () => {
  it('verifies under its own keys, with a warning, or under a pin or a key without one', async () => {
    const unpinned = await verify([])
    expect(unpinned).toMatchObject({ exitCode: 0, stderr: expect.stringContaining(fake.pin) })
    expect(unpinned.stdout).toMatch(/^events read +400$/m)
    for (const flags of [
      ['--pin', fake.pin],
      ['--key', vkey()],
    ]) {
      expect(await verify(flags)).toMatchObject({ exitCode: 0, stderr: '' })
    }
    expect((await verify(['--pin', newSigner(crypto).kid])).exitCode).toBe(1)
  })

  it('of hashes alone verifies without a token, and stderr says that no event was seen', async () => {
    for (const run of [
      await verify(['--key', vkey(), '--public']),
      await verify(['--key', vkey()], { QFLARE_DATA_DIR: folder }),
    ]) {
      expect(run).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('no event') })
      expect(run.stdout).toMatch(/^hashes only +600$/m)
    }
    expect(fake.requests.join()).not.toContain(auditorToken)
  })

  it('gets no token that is for another server', async () => {
    const run = await verify(['--key', vkey()], {
      QFLARE_ADMIN_TOKEN_FILE: inFolder('token'),
      QFLARE_URL: 'https://trust.example',
    })
    expect(run.exitCode).toBe(0)
    expect(fake.requests.join()).not.toContain(auditorToken)
  })

  it('gets no token where nobody says which server it is for, which stderr explains', async () => {
    const run = await verify(['--key', vkey()], { QFLARE_ADMIN_TOKEN_FILE: inFolder('token'), QFLARE_URL: '' })
    expect(run).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('QFLARE_URL') })
    expect(fake.requests.join()).not.toContain(auditorToken)
  })

  it('that grew while it was read has to continue what was read', async () => {
    let isGrown = false
    fake.published = 400
    fake.tamper = (path) => {
      if (path.includes('/export')) isGrown = true
      else if (isGrown) fake.published = SIZE
      return undefined
    }
    const run = await verify(['--key', vkey(), '--json'])
    expect(JSON.parse(run.stdout)).toMatchObject({ verified: true, checkpoint: { size: 400 }, newest: { size: SIZE } })
  })

  it('that shows another history afterwards does not verify, whatever proof it gives', async () => {
    const other = forked(100)
    const honest = makeMemoryLog(crypto, makeEntries(SIZE + 20), fake.signers)
    const proofs = [other, honest].map((log) => log.consistency(SIZE, SIZE + 20))
    for (const hashes of proofs) {
      fake.tamper = (path) => {
        if (path.endsWith('/checkpoint')) return text(other.checkpoint(SIZE + 20))
        if (!path.includes('/consistency')) return undefined
        return sendJson({ from: SIZE, to: SIZE + 20, hashes: hashes.map(toBase64url) })
      }
      const run = await verify(['--key', vkey()])
      expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('does not continue') })
    }
    fake.tamper = (path) => (path.endsWith('/checkpoint') ? text(other.checkpoint(SIZE)) : undefined)
    expect(await verify(['--key', vkey()])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('two trees of size 600'),
    })
  })

  it('that is an older one by now was taken back; a copy that is behind for a second was not', async () => {
    fake.tamper = (path) => (path.endsWith('/checkpoint') ? text(fake.log.checkpoint(500)) : undefined)
    expect(await verify(['--key', vkey()])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringMatching(/has 500 entries now, .* 600 of it/),
    })
    let asked = 0
    fake.tamper = (path) => (path.endsWith('/checkpoint') && asked++ === 0 ? text(fake.log.checkpoint(500)) : undefined)
    expect((await verify(['--key', vkey()])).exitCode).toBe(0)
  })

  it.each([
    [{ from: 400, to: SIZE }, 'entries 400 to 599'],
    [{ from: 0, to: 599 }, 'entries 0 to 598'],
    [{ from: 0, to: 0 }, 'no entry'],
  ])('that gives %j of all its entries does not verify', async (part, given) => {
    const body = `${fake.log.exportLines({ ...part, size: SIZE }).join('\n')}\n`
    fake.tamper = (path) => (path.includes('/export') ? { type: 'application/x-ndjson', body } : undefined)
    const reason = `Asked for entries 0 to 599, the server gave ${given} of 600.`
    expect(await verify(['--key', vkey()])).toMatchObject({ exitCode: 1, stderr: expect.stringContaining(reason) })
  })

  it('whose tile is another names its first entry, and one that it does not give', async () => {
    const bytes = fake.log.tile('0/001').map((byte, at) => (at === 64 ? byte ^ 1 : byte))
    fake.tamper = (path) => (path.endsWith('/0/001') ? { type: 'application/octet-stream', body: bytes } : undefined)
    const turned = await verify(['--key', vkey(), '--public'])
    expect(turned).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('The first bad entry is 256.') })
    fake.tamper = (path) => (path.endsWith('/0/001') ? refuse(404, 'not_found') : undefined)
    const missing = await verify(['--key', vkey(), '--public'])
    expect(missing).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('tile 0/1') })
  })

  it('whose export is of another log, or cut off, does not verify', async () => {
    const cut = fake.log.exportLines({ from: 0, to: SIZE, size: SIZE }).slice(0, 50).join('\n')
    fake.tamper = (path) => (path.includes('/export') ? { type: 'application/x-ndjson', body: `${cut}\n` } : undefined)
    expect(await verify(['--key', vkey()])).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('first bad entry is 49'),
    })
  })

  it('that is away is no log that does not verify', async () => {
    const run = await runHere(['audit', 'verify', 'http://127.0.0.1:1', '--key', vkey()])
    expect(run.exitCode).toBe(3)
    fake.tamper = () => refuse(403, 'forbidden')
    const refused = await verify(['--key', vkey()])
    expect(refused).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringContaining('forbidden') })
  })
})

describe('witnesses of a log', () => {
  const flags = () => ['--key', vkey(), '--witness', witness.vkey]
  const witnessed = (size: number, log = fake.log) => {
    const checkpoint = { origin: LOG_ORIGIN, size, root: log.root(size) }
    fake.tamper = (path) =>
      path.endsWith('witnessed=true') ? text(signCheckpoint(checkpoint, [...fake.signers, witness])) : undefined
  }

  it('are looked for on the newest checkpoint that they signed', async () => {
    let isRead = false
    fake.published = 500
    fake.tamper = (path) => {
      if (path.endsWith('witnessed=true')) {
        const checkpoint = { origin: LOG_ORIGIN, size: 550, root: fake.log.root(550) }
        return text(signCheckpoint(checkpoint, [...fake.signers, witness]))
      }
      if (path.includes('/export')) isRead = true
      else if (isRead) fake.published = SIZE
      return undefined
    }
    const run = await verify(flags())
    expect(run).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('1 of 1, over 550 entries: east.example'),
    })
  })

  it('that signed another history, or nothing, make it not verify', async () => {
    witnessed(550, forked(100))
    expect(await verify(flags())).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('does not continue') })
    fake.tamper = undefined
    expect(await verify(flags())).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('and did: none') })
  })
})

describe('a file, with --log', () => {
  const withFile = (log = fake.log) => {
    const path = inFolder('history.jsonl')
    writeFileSync(path, `${log.exportLines({ from: 0, to: 300, size: 400 }).join('\n')}\n`)
    return runHere(['audit', 'verify', path, '--log', fake.url, '--pin', fake.pin, '--json'])
  }

  it('verifies when the log still continues it', async () => {
    const { exitCode, stdout } = await withFile()
    expect(exitCode).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ verified: true, checkpoint: { size: 400 }, newest: { size: SIZE } })
  })

  it('does not when the log has another history by now', async () => {
    const { exitCode, stdout } = await withFile(forked(350))
    expect(exitCode).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ verified: false, problem: { index: null }, checkpoint: { size: 400 } })
  })
})

it('a file of one log is not continued by another log, whose key is trusted too', async () => {
  const other = makeSigner(crypto, 'cosignature', 'other.example/audit')
  const lines = makeMemoryLog(crypto, makeEntries(3), [other]).exportLines({ from: 0, to: 3, size: 3 })
  writeFileSync(inFolder('other.jsonl'), `${lines.join('\n')}\n`)
  const flags = ['--log', fake.url, '--key', other.vkey, '--key', vkey()]
  const run = await runHere(['audit', 'verify', inFolder('other.jsonl'), ...flags])
  expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining(`The server has the log ${LOG_ORIGIN}`) })
})

describe('of a URL, a command line that is wrong ends with 2:', () => {
  it.each([
    ['--log', 'https://trust.example'],
    ['--event', 'x.json'],
    ['--pin', 'short'],
  ])('%s', async (...flags) => {
    expect(await verify([...flags])).toMatchObject({ exitCode: 2 })
    expect(fake.requests).toEqual([])
  })

  it('plain http to another machine', async () => {
    expect((await runHere(['audit', 'verify', 'http://trust.example', '--key', vkey()])).exitCode).toBe(2)
  })
})
