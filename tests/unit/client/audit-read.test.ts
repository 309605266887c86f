import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { signatureContexts } from '../../../protocol/suites.ts'
import { trustBundle, trustBundleBytes } from '../../../protocol/trust.ts'
import { makeMemoryLog } from '../../support/memory-log.ts'
import { runHere } from '../../support/run-here.ts'
import { newSigner, signBundle, toTrustKey } from './fake-authority.ts'
import {
  auditorToken,
  deviceId,
  eventId,
  type FakeLog,
  makeEntries,
  refuse,
  sendJson,
  startFakeLog,
  toAuditKey,
  tokenId,
} from './fake-log.ts'

const crypto = await choosePrimitives()
const SIZE = 60

let folder: string
let fake: FakeLog
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'qflare-audit-'))
  writeFileSync(inFolder('token'), auditorToken)
  fake = await startFakeLog(crypto, SIZE)
})
afterEach(() => {
  fake.tamper = undefined
  fake.requests.length = 0
})
afterAll(async () => {
  await fake.close()
  rmSync(folder, { recursive: true })
})

const inFolder = (name: string) => join(folder, name)
const vkey = () => fake.signers[0]?.vkey ?? ''
const audit = (...args: string[]) =>
  runHere(['audit', ...args], { env: { QFLARE_URL: fake.url, QFLARE_ADMIN_TOKEN_FILE: inFolder('token') } })

describe('qflare audit key', () => {
  it('prints the line that --key takes, and says when nobody vouches for it', async () => {
    expect(await audit('key', '--pin', fake.pin)).toEqual({ exitCode: 0, stdout: vkey(), stderr: '' })
    expect(await audit('key')).toMatchObject({ exitCode: 0, stdout: vkey(), stderr: expect.stringContaining(fake.pin) })
    expect(fake.requests.join()).not.toContain(auditorToken)
  })

  it('writes a new file, and not over one', async () => {
    const out = inFolder('log.vkey')
    expect((await audit('key', '--pin', fake.pin, '--out', out)).exitCode).toBe(0)
    expect(readFileSync(out, 'utf8')).toBe(`${vkey()}\n`)
    expect(await audit('key', '--out', out)).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('exists already'),
    })
  })

  it('prints no name that changes how the line is shown', async () => {
    const root = newSigner(crypto)
    const keys = fake.signers.map(({ by }) => toAuditKey(crypto, by.key))
    const bundle = { ...signBundle(1, [toTrustKey(root, 'root'), ...keys], root), trustDomain: '\u202eelpmaxe.tsurt' }
    const signature = root.key.sign(trustBundleBytes(bundle), signatureContexts.trust)
    const signed = z.encode(trustBundle, { ...bundle, signatures: [{ kid: root.kid, signature }] })
    fake.tamper = (path) => (path.includes('/trust') ? sendJson({ items: [signed], nextCursor: null }) : undefined)
    const run = await audit('key', `--pin=${root.kid}`)
    expect(run).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringContaining('log_invalid') })
    expect(run.stderr).not.toContain('\u202e')
  })

  it('prints nothing that the pin does not vouch for', async () => {
    const run = await audit('key', '--pin', 'M6EuDp7nvvVZjk3MaVfvXg')
    expect(run).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringContaining('trust_invalid') })
  })
})

describe('qflare audit events', () => {
  it('is a table of the newest events, and says when there are more', async () => {
    const { stdout, stderr } = await audit('events', '--limit', '2')
    const [title, ...rows] = stdout.split('\n')
    expect(title).toMatch(/^ID +TIME +INDEX +SEVERITY +TYPE +ACTOR +DEVICE$/)
    expect(rows.map((row) => row.split(/ {2,}/))).toEqual(
      [58, 57].map((index) => [
        eventId(index),
        `2026-11-22T03:30:${index}Z`,
        String(index),
        'notice',
        'device.suspended',
        `api_token ${tokenId}`,
        deviceId,
      ]),
    )
    expect(stderr).toContain('--all')
  })

  it('asks for what the filters say', async () => {
    const filters = ['--type', 'device.revoked', '--severity', 'Notice', '--actor', tokenId, '--device', deviceId]
    await audit('events', ...filters, '--since', '2026-11-22', '--until', '2026-11-23T00:00:00Z')
    const query = `type=device.revoked&severity=notice&actor=${tokenId}&device=${deviceId}`
    const times = `from=${Date.UTC(2026, 10, 22)}&to=${Date.UTC(2026, 10, 23)}`
    expect(fake.requests).toEqual([`${auditorToken} /v1/audit/events?${query}&${times}&limit=101`])
  })

  it('prints what a server writes as text', async () => {
    const event = { ...JSON.parse(fake.log.entries[0] ?? ''), type: 'x.\u001b[2J\n' }
    fake.tamper = () => sendJson({ items: [{ index: 0, event }], nextCursor: null })
    for (const args of [['events'], ['events', '--json'], ['tail'], ['tail', '--json']]) {
      expect((await audit(...args)).stdout).not.toContain('\u001b[2J')
    }
    fake.tamper = () => sendJson({ index: 0, event })
    expect((await audit('show', eventId(0))).stdout).not.toContain('\u001b[2J')
  })
})

describe('qflare audit show', () => {
  it('shows all of an event', async () => {
    const { stdout } = await audit('show', eventId(4))
    for (const row of [
      /^index +4$/m,
      /^severity +notice$/m,
      /^subject +deviceId = 0199/m,
      /^data +sessions = \[\]$/m,
      /^salt +\S+$/m,
    ]) {
      expect(stdout).toMatch(row)
    }
    const shown = JSON.parse((await audit('show', eventId(4), '--json')).stdout) as object
    expect(shown).toEqual({ index: 4, event: JSON.parse(fake.log.entries[4] ?? '') })
  })

  it('of an event that is not there, or another organization’s, says so', async () => {
    expect(await audit('show', eventId(5))).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('not_found') })
    expect((await audit('show', '4')).exitCode).toBe(2)
  })
})

describe('a time of no calendar', () => {
  it.each(['show', 'events', 'tail'])('is shown as a number by qflare audit %s', async (command) => {
    const item = { index: 4, event: { ...JSON.parse(fake.log.entries[4] ?? ''), at: 9e15 } }
    fake.tamper = (path) => sendJson(path.includes('/events/') ? item : { items: [item], nextCursor: null })
    const run = await audit(command, ...(command === 'show' ? [eventId(4)] : []))
    expect(run).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('9000000000000000 ms after 1970') })
  })
})

describe('qflare audit tail', () => {
  it('prints the last events, the oldest first', async () => {
    const { exitCode, stdout } = await audit('tail', '--limit', '3')
    expect(exitCode).toBe(0)
    expect(stdout.split('\n').map((line) => line.split(/ {2,}/)[1])).toEqual(['55', '57', '58'])
    const lines = (await audit('tail', '--json')).stdout
      .split('\n')
      .map((line) => JSON.parse(line) as { index: number })
    expect(lines).toHaveLength(20)
    expect(lines.at(-1)?.index).toBe(58)
  })
})

describe('qflare audit proof', () => {
  it('writes the event to the byte and its proof, which verify without a network', async () => {
    const run = await audit('proof', eventId(4), '--out', inFolder('evidence'), '--key', vkey())
    expect(run).toMatchObject({ exitCode: 0, stderr: '', stdout: expect.stringContaining('qflare audit verify') })
    expect(readFileSync(inFolder('evidence.json'), 'utf8')).toBe(fake.log.entries[4])
    expect(readFileSync(inFolder('evidence.tlog-proof'), 'utf8')).toBe(fake.log.proofText(4))
    const verified = await runHere(['audit', 'verify', inFolder('evidence.tlog-proof'), '--key', vkey()])
    expect(verified.exitCode).toBe(0)
  })

  it('writes what is proved, and none of the extra data, which nobody signed', async () => {
    const extra = fake.log.proofText(4).replace('@v1\n', '@v1\nextra \u001b[2J hello\n')
    fake.tamper = (path) => (path.endsWith('/proof') ? { type: 'text/plain', body: extra } : undefined)
    expect((await audit('proof', eventId(4), '--out', inFolder('extra'), '--key', vkey())).exitCode).toBe(0)
    expect(readFileSync(inFolder('extra.tlog-proof'), 'utf8')).toBe(fake.log.proofText(4))
  })

  it('writes both files or none, and never over one', async () => {
    writeFileSync(inFolder('half.tlog-proof'), 'x')
    expect((await audit('proof', eventId(4), '--out', inFolder('half'), '--key', vkey())).exitCode).toBe(4)
    expect(existsSync(inFolder('half.json'))).toBe(false)
    expect(readFileSync(inFolder('half.tlog-proof'), 'utf8')).toBe('x')
  })

  it.each([
    ['another event', () => sendJson({ index: 4, event: JSON.parse(fake.log.entries[3] ?? '') })],
    [
      'the event with a word changed',
      () => sendJson({ index: 4, event: { ...JSON.parse(fake.log.entries[4] ?? ''), severity: 'info' } }),
    ],
    ['another index', () => sendJson({ index: 3, event: JSON.parse(fake.log.entries[4] ?? '') })],
  ])('writes nothing when the server gives %s', async (_what, answer) => {
    fake.tamper = (path) => (path.endsWith(eventId(4)) ? answer() : undefined)
    const run = await audit('proof', eventId(4), '--out', inFolder('wrong'), '--pin', fake.pin)
    expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('log_invalid') })
    expect(existsSync(inFolder('wrong.json'))).toBe(false)
  })

  it('writes nothing when the server proves another event than was asked for', async () => {
    fake.tamper = (path) => {
      if (path.endsWith('/proof')) return { type: 'text/plain', body: fake.log.proofText(3) }
      return path.includes('/events/')
        ? sendJson({ index: 3, event: JSON.parse(fake.log.entries[3] ?? '') })
        : undefined
    }
    const run = await audit('proof', eventId(4), '--out', inFolder('wrong'), '--key', vkey())
    expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('another event') })
    expect(existsSync(inFolder('wrong.json'))).toBe(false)
  })
})

describe('qflare audit export', () => {
  const lines = (log = fake.log) => `${log.exportLines({ from: 0, to: SIZE, size: SIZE }).join('\n')}\n`

  it('writes a file of mode 0600, verified on the way where a key is given', async () => {
    const plain = await audit('export', '--out', inFolder('plain.jsonl'))
    expect(plain).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('60 entries') })
    expect(statSync(inFolder('plain.jsonl')).mode & 0o777).toBe(0o600)
    const run = await audit('export', '--out', inFolder('history.jsonl'), '--key', vkey())
    expect(run).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^verified +yes$/m) })
    expect(readFileSync(inFolder('history.jsonl'), 'utf8')).toBe(readFileSync(inFolder('plain.jsonl'), 'utf8'))
    expect((await runHere(['audit', 'verify', inFolder('history.jsonl'), '--key', vkey()])).exitCode).toBe(0)
    for (const left of ['history.jsonl.partial', 'history.jsonl.lock']) expect(existsSync(inFolder(left))).toBe(false)
  })

  it.each([
    [[], { from: 3, to: SIZE }, 'Asked for entries 0 to 59, the server gave entries 3 to 59 of 60.'],
    [[], { from: 0, to: 59 }, 'Asked for entries 0 to 59, the server gave entries 0 to 58 of 60.'],
    [['--from', '1', '--to', '9'], { from: 1, to: 8 }, 'the server gave entries 1 to 7 of 60.'],
  ])('with %j that is given %j does not verify', async (flags, part, reason) => {
    const body = `${fake.log.exportLines({ ...part, size: SIZE }).join('\n')}\n`
    fake.tamper = (path) => (path.includes('/export') ? { type: 'application/x-ndjson', body } : undefined)
    const run = await audit('export', ...flags, '--key', vkey(), '--out', inFolder('other-part.jsonl'), '--force')
    expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining(reason) })
  })

  it('of a part asks for that part', async () => {
    await audit('export', '--from', '10', '--to', '20', '--out', inFolder('part.jsonl'))
    expect(fake.requests).toEqual([`${auditorToken} /v1/audit/export?from=10&to=20`])
    expect(readFileSync(inFolder('part.jsonl'), 'utf8')).toContain('"from":10,"to":20')
  })

  it('never writes over a file, unless by --force', async () => {
    const out = inFolder('there.jsonl')
    writeFileSync(out, 'mine')
    expect(await audit('export', '--out', out)).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('--force'),
    })
    expect(fake.requests).toEqual([])
    expect(readFileSync(out, 'utf8')).toBe('mine')
    expect((await audit('export', '--out', out, '--force')).exitCode).toBe(0)
    expect(readFileSync(out, 'utf8')).toContain('"checkpoint"')
  })

  it('that ends too early, or is refused, leaves no file behind', async () => {
    fake.tamper = (path) =>
      path.includes('/export')
        ? { type: 'application/x-ndjson', body: `${lines().split('\n').slice(0, 9).join('\n')}\n` }
        : undefined
    const cut = await audit('export', '--out', inFolder('cut.jsonl'))
    expect(cut).toMatchObject({ exitCode: 3, stderr: expect.stringContaining('ended after 9 lines') })
    fake.tamper = () => refuse(403, 'forbidden')
    expect((await audit('export', '--out', inFolder('cut.jsonl'))).exitCode).toBe(1)
    for (const left of ['', '.partial', '.lock']) expect(existsSync(inFolder(`cut.jsonl${left}`))).toBe(false)
  })

  it('that does not verify is kept, and said to be bad', async () => {
    const other = makeMemoryLog(crypto, makeEntries(SIZE), fake.signers)
    const changed = lines(other).replace('"severity":"notice"', '"severity":"info"')
    fake.tamper = (path) => (path.includes('/export') ? { type: 'application/x-ndjson', body: changed } : undefined)
    const run = await audit('export', '--out', inFolder('bad.jsonl'), '--pin', fake.pin)
    expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('The first bad entry is 0.') })
    expect(readFileSync(inFolder('bad.jsonl'), 'utf8')).toBe(changed)
  })

  it.each([
    [['export']],
    [['export', '--out', 'x', '--from', '3', '--to', '2']],
    [['export', '--out', 'x', '--from', '-1']],
    [['events', '--since', 'noon']],
    [['events', '--type', 'Device']],
    [['events', '--severity', 'bad']],
    [['tail', '--limit', '201']],
    [['key', '--pin', 'x']],
    [['proof', eventId(4), '--key', 'k', '--pin', 'M6EuDp7nvvVZjk3MaVfvXg']],
  ])('and others end with 2 for a wrong command line: %j', async (args) => {
    expect(await audit(...args)).toMatchObject({ exitCode: 2, stdout: '' })
    expect(fake.requests).toEqual([])
  })
})
