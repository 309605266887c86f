import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { qflareMain } from '../../support/command-suite.ts'
import { makeMemoryLog, makeSigner } from '../../support/memory-log.ts'
import { LOG_ORIGIN, makeEntries } from './fake-log.ts'

const crypto = await choosePrimitives()
const SIZE = 40
const signer = makeSigner(crypto, 'cosignature', LOG_ORIGIN)
const log = makeMemoryLog(crypto, makeEntries(SIZE), [signer])
const history = `${log.exportLines({ from: 0, to: SIZE, size: SIZE }).join('\n')}\n`

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'qflare-odd-'))
  writeFileSync(inFolder('log.vkey'), `${signer.vkey}\n`)
  writeFileSync(inFolder('event.json'), log.entries[4] ?? '')
  writeFileSync(inFolder('event.tlog-proof'), log.proofText(4))
  writeFileSync(inFolder('history.jsonl'), history)
  symlinkSync('/dev/zero', inFolder('endless'))
  execFileSync('mkfifo', [inFolder('fifo')])
})
afterAll(() => rmSync(folder, { recursive: true }))

const inFolder = (name: string) => join(folder, name)

/** As a process that is killed when it neither ends nor stops to read. `stdin`: what is written to it, or a descriptor. */
async function verify(args: readonly string[], stdin: string | Uint8Array | number = '') {
  const isOpen = typeof stdin === 'number'
  const child = spawn(process.execPath, [qflareMain, 'audit', 'verify', ...args], {
    cwd: folder,
    stdio: [isOpen ? stdin : 'pipe', 'pipe', 'pipe'],
    timeout: 10_000,
    killSignal: 'SIGKILL',
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const run = { stdout: '', stderr: '' }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (run.stdout += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (run.stderr += text))
  if (!isOpen) child.stdin?.on('error', () => undefined).end(stdin)
  const [exitCode] = await once(child, 'close')
  return { ...run, exitCode: exitCode as number | null }
}

const withKey = ['--key', 'log.vkey']

describe('what is no regular file is not read, and ends with 4:', { timeout: 60_000 }, () => {
  it.each(['fifo', 'endless'])('%s as what is to be verified, with - named for a pipe', async (name) => {
    const run = await verify([name, ...withKey])
    expect(run).toMatchObject({ exitCode: 4, stderr: expect.stringContaining(`${name} is no regular file`) })
    expect(run.stderr).toContain('qflare audit verify -')
  })

  it.each(['fifo', 'endless'])('%s as the event of a proof', async (name) => {
    const run = await verify(['event.tlog-proof', ...withKey, '--event', name])
    expect(run).toMatchObject({ exitCode: 4, stderr: expect.stringContaining(`${name} is no regular file`) })
  })

  it.each(['fifo', 'endless'])('%s as a file of keys, of the log or of a witness', async (name) => {
    for (const flags of [
      ['--key', name],
      [...withKey, '--witness', name],
    ]) {
      const run = await verify(['event.tlog-proof', ...flags])
      expect(run).toMatchObject({ exitCode: 4, stderr: expect.stringContaining(`${name} is no regular file`) })
    }
  })

  it('an event or keys without end, as a file', async () => {
    writeFileSync(inFolder('large'), 'x'.repeat(600 << 10))
    for (const flags of [
      [...withKey, '--event', 'large'],
      ['--key', 'large'],
    ]) {
      const run = await verify(['event.tlog-proof', ...flags])
      expect(run).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('large is larger than') })
    }
  })
})

describe('an export on stdin', { timeout: 60_000 }, () => {
  it('verifies from a pipe and from a file, and one that was changed does not', async () => {
    expect(await verify(['-', ...withKey], history)).toMatchObject({ exitCode: 0, stderr: '' })
    const file = openSync(inFolder('history.jsonl'), 'r')
    onTestFinished(() => closeSync(file))
    expect(await verify(['-', ...withKey], file)).toMatchObject({ exitCode: 0 })
    expect((await verify(['-', ...withKey], history.replace('notice', 'info'))).exitCode).toBe(1)
    expect((await verify(['-', ...withKey], history.slice(0, 20))).exitCode).toBe(1)
  })

  it.each([
    ['nothing', '', 'is empty'],
    ['a packed export', gzipSync(history), 'zcat'],
    ['a packed one that was cut off', gzipSync(history).subarray(0, 2), 'zcat'],
    ['a proof', log.proofText(4), 'from a file'],
    ['something else', '{"items":[]}\n', 'neither an export'],
  ])('that is %s is no file to be verified: 4', async (_what, content, said) => {
    const run = await verify(['-', ...withKey], content)
    expect(run).toMatchObject({ exitCode: 4, stdout: '', stderr: expect.stringContaining(said) })
  })

  it('that is a folder, or as good as closed, ends with 4 too', async () => {
    for (const path of [folder, '/dev/null']) {
      const descriptor = openSync(path, 'r')
      onTestFinished(() => closeSync(descriptor))
      expect(await verify(['-', ...withKey], descriptor)).toMatchObject({ exitCode: 4, stdout: '' })
    }
  })
})
