import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { type MemoryLog, makeMemoryLog, makeSigner } from '../../support/memory-log.ts'
import { runHere } from '../../support/run-here.ts'
import { eventId, isForeign, LOG_ORIGIN, makeEntries } from './fake-log.ts'

const crypto = await choosePrimitives()
const SIZE = 1000
const signer = makeSigner(crypto, 'cosignature', LOG_ORIGIN)
const stranger = makeSigner(crypto, 'cosignature', LOG_ORIGIN, 'stranger')
const east = makeSigner(crypto, 'cosignature', 'east.example', 'east.example')

let folder: string
let log: MemoryLog
let lines: string[]

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'qflare-verify-'))
  log = makeMemoryLog(crypto, makeEntries(SIZE), [signer])
  lines = log.exportLines({ from: 0, to: SIZE, size: SIZE, isHidden: isForeign })
  write('log.vkey', `# the log\n${signer.vkey}\n`)
  write('event.json', log.entries[4] ?? '')
  write('event.tlog-proof', log.proofText(4))
})
afterAll(() => rmSync(folder, { recursive: true }))

const inFolder = (name: string) => join(folder, name)

function write(name: string, content: string | Uint8Array): string {
  writeFileSync(inFolder(name), content)
  return inFolder(name)
}

/** Without a network: nothing answers at the URL of the environment. */
function verify(file: string, ...flags: string[]) {
  return runHere(['audit', 'verify', file, ...flags], { env: { QFLARE_URL: 'http://127.0.0.1:1' } })
}

const verifyLines = (changed: readonly string[], ...flags: string[]) =>
  verify(write('changed.jsonl', `${changed.join('\n')}\n`), '--key', inFolder('log.vkey'), ...flags)

const replaced = (index: number, change: (line: string) => string) =>
  lines.map((line, at) => (at === index + 1 ? change(line) : line))

describe('an export in a file', () => {
  it('verifies under the key of its log, given as a line or as a file', async () => {
    const path = write('history.jsonl', `${lines.join('\n')}\n`)
    for (const key of [signer.vkey, inFolder('log.vkey')]) {
      const { exitCode, stdout, stderr } = await verify(path, '--key', key)
      expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
      for (const row of [
        /^verified +yes$/m,
        /^entries +1,000 \(0 to 999\)/m,
        /^events read +667$/m,
        /^hashes only +333$/m,
      ]) {
        expect(stdout).toMatch(row)
      }
    }
    const { stdout } = await verify(path, '--key', signer.vkey, '--json')
    expect(JSON.parse(stdout)).toMatchObject({
      verified: true,
      problem: null,
      origin: LOG_ORIGIN,
      entries: { from: 0, to: SIZE, events: 667, hashesOnly: 333 },
      checkpoint: { size: SIZE, signedAt: 1_795_318_200_000 },
      newest: null,
    })
  })

  it('of a part of the log verifies too, against the checkpoint of a longer one', async () => {
    const part = log.exportLines({ from: 300, to: 700, size: SIZE })
    expect(await verifyLines(part)).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('400 (300 to 699)') })
  })

  it.each([
    [{ from: 300, to: 700 }, 'entries 300 to 699 of 1000'],
    [{ from: 0, to: SIZE - 1 }, 'entries 0 to 998 of 1000'],
    [{ from: 0, to: 0 }, 'no entry of 1000'],
  ])('of %j is called a part, not the whole', async (range, part) => {
    const text = await verifyLines(log.exportLines({ ...range, size: SIZE }))
    expect(text.exitCode).toBe(0)
    expect(text.stdout).toMatch(/^verified +a part$/m)
    expect(text.stdout).toMatch(new RegExp(`^part +${part}$`, 'm'))
    const json = await verifyLines(log.exportLines({ ...range, size: SIZE }), '--json')
    expect(JSON.parse(json.stdout)).toMatchObject({ verified: true, complete: false, entries: range })
    const whole = await verifyLines(lines, '--json')
    expect(JSON.parse(whole.stdout)).toMatchObject({ verified: true, complete: true })
  })

  it.each([
    ['a word in an event', (line: string) => line.replace('notice', 'info'), 400],
    ['a space in an event', (line: string) => line.replace(':{', ': {'), 400],
    ['a member that stands twice', (line: string) => line.replace('"v":1', '"v":1,"v":1'), 400],
    ['another hash', (line: string) => line.replace(/"leafHash":"./, '"leafHash":"_'), 400],
    ['an index', (line: string) => line.replace('400', '399'), 400],
    ['an event in place of its hash', () => `{"index":400,"event":null,"leafHash":"${'A'.repeat(43)}"}`, 400],
    ['no JSON', () => '{', 400],
  ])('with %s changed does not verify, and names the entry', async (_what, change, index) => {
    const run = await verifyLines(replaced(400, change))
    expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining(`The first bad entry is ${index}.`) })
    expect(run.stderr).toContain('(log_invalid)')
    expect(run.stdout).toMatch(/^verified +NO$/m)
  })

  it('with a hash of somebody else’s entry changed, or entries swapped or missing, does not verify', async () => {
    const hashOnly = replaced(401, (line) => line.replace(/"leafHash":"./, '"leafHash":"_'))
    expect(await verifyLines(hashOnly)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('At least one entry'),
    })
    const [one = '', two = ''] = [lines[401], lines[402]]
    const swapped = lines.map((line) => (line === one ? two : line === two ? one : line))
    expect(await verifyLines(swapped)).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('entry is 400') })
    const missing = lines.filter((_, at) => at !== 401)
    expect(await verifyLines(missing)).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('entry is 400') })
  })

  it('that is cut off is incomplete, wherever it is cut', async () => {
    const whole = `${lines.join('\n')}\n`
    for (const length of [whole.length - 1, whole.length - 400, 50_000, whole.indexOf('\n') + 1]) {
      const run = await verify(write('cut.jsonl', whole.slice(0, length)), '--key', signer.vkey)
      expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('The export ends too early.') })
    }
  })

  it('with bytes that are no text, or a line without end, does not verify', async () => {
    const bytes = Buffer.from(`${lines.join('\n')}\n`)
    bytes[bytes.indexOf('device.suspended', 50_000)] = 0xff
    const broken = await verify(write('broken.jsonl', bytes), '--key', signer.vkey)
    expect(broken).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('not UTF-8') })
    const endless = [...lines.slice(0, 10), 'x'.repeat(300_000), ...lines.slice(10)]
    expect(await verifyLines(endless)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('longer than 262144'),
    })
  })

  it('of another log, or signed by another key, does not verify', async () => {
    const path = write('history.jsonl', `${lines.join('\n')}\n`)
    expect((await verify(path, '--key', stranger.vkey)).exitCode).toBe(1)
    expect(await verify(path, '--key', east.vkey)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('no key is given'),
    })
  })

  it('under two keys of two algorithms has to be signed by both', async () => {
    const { vkey } = makeSigner(crypto, 'mlDsa87', LOG_ORIGIN)
    const run = await verifyLines(lines, '--key', vkey)
    expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('ML-DSA-87') })
  })

  it('shows what is in it as text: no escape sequence of its origin reaches the terminal', async () => {
    const [first = '', ...rest] = lines
    const run = await verifyLines([first.replace(LOG_ORIGIN, 'evil\\u001b[2J\\nqflare: verified'), ...rest])
    expect(run.exitCode).toBe(1)
    expect(run.stdout + run.stderr).not.toContain('\u001b[2J')
    expect(run.stderr.split('\n')).toHaveLength(1)
  })
})

describe('a proof of an event', () => {
  const withKey = ['--key', signer.vkey]

  it('verifies with the event beside it, or named by --event', async () => {
    const { exitCode, stdout } = await verify(inFolder('event.tlog-proof'), ...withKey)
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(new RegExp(`^event +${eventId(4)}$`, 'm'))
    expect(stdout).toMatch(/^index +4$/m)
    const elsewhere = write('elsewhere', log.entries[4] ?? '')
    const named = await verify(write('other.tlog-proof', log.proofText(4)), ...withKey, '--event', elsewhere, '--json')
    expect(JSON.parse(named.stdout)).toMatchObject({
      verified: true,
      event: { index: 4, id: eventId(4) },
      entries: null,
    })
  })

  it('verifies however the event is laid out, and not when a member stands twice', async () => {
    const laidOut = JSON.stringify(JSON.parse(log.entries[4] ?? ''), null, 2)
    const path = inFolder('event.tlog-proof')
    expect((await verify(path, ...withKey, '--event', write('laid-out.json', laidOut))).exitCode).toBe(0)
    const twice = laidOut.replace('"severity"', '"severity": "info",\n  "severity"')
    expect(await verify(path, ...withKey, '--event', write('twice.json', twice))).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('no event as it was hashed'),
    })
  })

  it('is of this event and no other', async () => {
    const other = write('other.json', log.entries[3] ?? '')
    const run = await verify(inFolder('event.tlog-proof'), ...withKey, '--event', other)
    expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('Entry 4 is not what the tree of 1000') })
  })

  it('with a hash or the signature changed does not verify', async () => {
    const text = readFileSync(inFolder('event.tlog-proof'), 'utf8')
    for (const changed of [
      text.replace('index 4', 'index 5'),
      text.replace(/\n— .*\n$/, `\n${stranger.line({ origin: LOG_ORIGIN, size: SIZE, root: log.root(SIZE) })}\n`),
    ]) {
      const path = write('changed.tlog-proof', changed)
      expect((await verify(path, ...withKey, '--event', inFolder('event.json'))).exitCode).toBe(1)
    }
  })
})

describe('what is no file to be verified ends with 4, and says why:', () => {
  it.each([
    ['an empty file', '', 'is empty'],
    ['a compressed file', gzipSync('{}'), 'zcat'],
    ['another file', '{"items":[]}\n', 'neither an export'],
    ['a proof without its event', 'c2sp.org/tlog-proof@v1\n', 'ENOENT'],
  ])('%s', async (_what, content, said) => {
    const run = await verify(write('odd', content), '--key', signer.vkey)
    expect(run).toMatchObject({ exitCode: 4, stdout: '', stderr: expect.stringContaining(said) })
  })

  it('a folder, and nothing at all', async () => {
    expect(await verify(folder, '--key', signer.vkey)).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('is a folder'),
    })
    expect(await verify(inFolder('none'), '--key', signer.vkey)).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining('ENOENT'),
    })
  })

  it('a file of keys that is missing, empty or broken', async () => {
    for (const key of [
      inFolder('none'),
      write('empty.vkey', '# nothing\n'),
      write('broken.vkey', `${signer.vkey}x\n`),
    ]) {
      expect((await verify(inFolder('event.tlog-proof'), '--key', key)).exitCode).toBe(4)
    }
  })
})

describe('a command line that is wrong ends with 2:', () => {
  it('a file without a key, which says where keys come from', async () => {
    for (const flags of [[], ['--pin', 'M6EuDp7nvvVZjk3MaVfvXg']]) {
      const run = await verify(inFolder('event.tlog-proof'), ...flags)
      expect(run).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('qflare audit key') })
    }
  })

  it.each([
    [['--key', `${signer.vkey.slice(0, -4)}AAA=`]],
    [['--key', signer.vkey, '--pin', 'M6EuDp7nvvVZjk3MaVfvXg']],
    [['--key', signer.vkey, '--witnesses-needed', '1']],
    [['--key', signer.vkey, '--witnesses-needed', 'all']],
    [['--key', signer.vkey, '--witness', signer.vkey]],
    [['--key', signer.vkey, '--public']],
    [['--key', signer.vkey, '--pin', 'root']],
    [['--key', signer.vkey, '--log', 'http://log.example']],
  ])('%j', async (flags) => {
    expect((await verify(inFolder('event.tlog-proof'), ...flags)).exitCode).toBe(2)
  })
})
