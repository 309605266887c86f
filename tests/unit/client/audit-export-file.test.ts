import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { writeExportFile } from '../../../client/command/export-file.ts'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { runHere } from '../../support/run-here.ts'
import { auditorToken, type FakeLog, startFakeLog } from './fake-log.ts'

const crypto = await choosePrimitives()
const SIZE = 60

let folder: string
let fake: FakeLog
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'qflare-export-'))
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
const withKey = () => ['--key', fake.signers[0]?.vkey ?? '']
const lines = () => fake.log.exportLines({ from: 0, to: SIZE, size: SIZE })
const exportTo = (out: string, ...flags: string[]) =>
  runHere(['audit', 'export', '--out', inFolder(out), ...flags], {
    env: { QFLARE_URL: fake.url, QFLARE_ADMIN_TOKEN_FILE: inFolder('token') },
  })

function serve(body: string): void {
  fake.tamper = (path) => (path.includes('/export') ? { type: 'application/x-ndjson', body } : undefined)
}

describe('the file of an export', () => {
  it.each([
    ['a link to another file', (path: string) => symlinkSync(inFolder('precious'), path)],
    ['a link that leads nowhere', (path: string) => symlinkSync(inFolder('nowhere'), path)],
    ['a file of somebody’s own', (path: string) => writeFileSync(path, 'mine', { mode: 0o666 })],
    ['a folder', (path: string) => mkdirSync(path)],
  ])('is not written where %s has the name of the partial one, with --force or without', async (what, make) => {
    writeFileSync(inFolder('precious'), 'precious')
    const out = `${what.replaceAll(' ', '-')}.jsonl`
    make(inFolder(`${out}.partial`))
    const before = lstatSync(inFolder(`${out}.partial`))
    for (const flags of [[], ['--force']]) {
      const run = await exportTo(out, ...flags)
      expect(run).toMatchObject({ exitCode: 4, stderr: expect.stringContaining(`${out}.partial is there already`) })
      expect(existsSync(inFolder(out))).toBe(false)
    }
    const after = lstatSync(inFolder(`${out}.partial`))
    expect([after.ino, after.size, after.mode]).toEqual([before.ino, before.size, before.mode])
    expect(readFileSync(inFolder('precious'), 'utf8')).toBe('precious')
    expect(existsSync(inFolder('nowhere'))).toBe(false)
  })

  it('leaves every other file beside it alone', async () => {
    writeFileSync(inFolder('beside.jsonl.lock'), '')
    expect((await exportTo('beside.jsonl')).exitCode).toBe(0)
    expect(readdirSync(folder).filter((name) => name.startsWith('beside'))).toEqual([
      'beside.jsonl',
      'beside.jsonl.lock',
    ])
    expect(statSync(inFolder('beside.jsonl')).mode & 0o777).toBe(0o600)
  })

  it('is written by one at a time: a second one finds the partial file, and leaves it', async () => {
    const gate = Promise.withResolvers<void>()
    async function* slow() {
      yield* lines().slice(0, -1)
      await gate.promise
      yield* lines().slice(-1)
    }
    const first = writeExportFile(inFolder('raced.jsonl'), slow(), { force: false }, () => {})
    while (!existsSync(inFolder('raced.jsonl.partial'))) await new Promise((done) => setTimeout(done, 5))
    expect(await exportTo('raced.jsonl', '--force')).toMatchObject({ exitCode: 4 })
    gate.resolve()
    await first
    expect(readFileSync(inFolder('raced.jsonl'), 'utf8')).toBe(`${lines().join('\n')}\n`)
  })

  it('leaves nothing in the way of the next one when it is ended by a signal', async () => {
    const program = `import { writeExportFile } from ${JSON.stringify(join(import.meta.dirname, '../../../client/command/export-file.ts'))}
      async function* lines() {
        yield '{"v":1}'
        console.log('begun')
        await new Promise((done) => setTimeout(done, 60_000))
      }
      await writeExportFile(${JSON.stringify(inFolder('ended.jsonl'))}, lines(), { force: false }, () => {})`
    const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program])
    onTestFinished(() => void child.kill('SIGKILL'))
    await once(child.stdout, 'data')
    expect(existsSync(inFolder('ended.jsonl.partial'))).toBe(true)
    child.kill('SIGINT')
    expect(await once(child, 'close')).toEqual([null, 'SIGINT'])
    expect(existsSync(inFolder('ended.jsonl.partial'))).toBe(false)
  })
})

describe('a bad export', () => {
  const tooLong = 'x'.repeat(300_000)

  it('with a line that is too long is kept up to there, and said to be bad', async () => {
    const good = lines().slice(0, 30)
    serve(`${[...good, tooLong].join('\n')}\n`)
    const run = await exportTo('long.jsonl', ...withKey())
    expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('longer than 262144 bytes') })
    expect(run.stdout).toMatch(/^verified +NO$/m)
    expect(readFileSync(inFolder('long.jsonl'), 'utf8')).toBe(`${good.join('\n')}\n`)
    const unverified = await exportTo('unverified.jsonl')
    expect(unverified).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('unverified.jsonl') })
    expect(existsSync(inFolder('unverified.jsonl'))).toBe(true)
  })

  it.each([
    ['its last line alone', () => ['{"checkpoint":']],
    ['no first line', () => lines().slice(1)],
    ['a line too few', () => lines().toSpliced(5, 1)],
    ['a line too many', () => lines().toSpliced(5, 0, '{}')],
  ])('of %s is an error without a key too, and no file', async (_what, changed) => {
    serve(`${changed().join('\n')}\n`)
    const run = await exportTo('count.jsonl')
    expect(run).toMatchObject({ exitCode: 3, stdout: '', stderr: expect.stringContaining('(bad_answer') })
    expect(existsSync(inFolder('count.jsonl'))).toBe(false)
  })
})
