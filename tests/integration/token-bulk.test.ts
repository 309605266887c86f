import { execFile } from 'node:child_process'
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openOperator } from '../../client/operator.ts'
import { allPages } from '../../client/pages.ts'
import { qflareMain, runQflare } from '../support/command-suite.ts'
import { type Proxy, startProxy } from '../support/proxy.ts'
import { runHere } from '../support/run-here.ts'
import { startTestService, type TestService } from '../support/service.ts'

const BULK = 'POST /v1/enrollment-tokens/bulk'
const DEVICES = 1100

let service: TestService
let proxy: Proxy
let folder: string

beforeAll(async () => {
  service = await startTestService({ isRealTime: true })
  proxy = await startProxy(service.url)
  folder = mkdtempSync(join(tmpdir(), 'qflare-bulk-'))
  writeFileSync(path('admin'), service.adminToken, { mode: 0o600 })
  const rows = Array.from({ length: DEVICES }, (_, index) => `press-${index},camera,gpu;npu`)
  writeFileSync(path('fleet.csv'), `name,type,capabilities\n${rows.join('\n')}\n`)
})
afterAll(async () => {
  await proxy[Symbol.asyncDispose]()
  await service.close()
  rmSync(folder, { recursive: true })
})

const path = (name: string) => join(folder, name)
const env = () => ({ QFLARE_URL: proxy.url, QFLARE_ADMIN_TOKEN_FILE: path('admin') })

function bulk(out: string, ...flags: string[]) {
  return runHere(['token', 'create', '--from', path('fleet.csv'), '--out', path(out), ...flags], { env: env() })
}

interface Made {
  name: string
  type: string
  id: string
  token: string
}

const readTokens = (name: string) =>
  readFileSync(path(name), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Made)

describe('tokens for a whole fleet', () => {
  it('are in one file of mode 0600, complete and in the order of the lines, and each of them enrols its device', async () => {
    expect(await bulk('all.jsonl', '--ttl', '2h')).toMatchObject({ exitCode: 0, stderr: '' })
    expect(statSync(path('all.jsonl')).mode & 0o777).toBe(0o600)
    expect(existsSync(path('all.jsonl.partial'))).toBe(false)
    const tokens = readTokens('all.jsonl')
    expect(tokens.map(({ name }) => name)).toEqual(Array.from({ length: DEVICES }, (_, index) => `press-${index}`))
    expect(new Set(tokens.map(({ token }) => token)).size).toBe(DEVICES)
    for (const index of [0, 600, DEVICES - 1]) {
      const { name, token, type } = tokens[index] as Made
      const args = ['enroll', '--name', name, '--state', path(`${name}.json`), '--json']
      const run = await runHere(args, { env: { ...env(), QFLARE_ENROLLMENT_TOKEN: token } })
      expect(run).toMatchObject({ exitCode: 0 })
      const { deviceId } = JSON.parse(run.stdout) as { deviceId: string }
      const operator = openOperator({ url: service.url, apiToken: service.adminToken })
      expect(await operator.getDevice(deviceId)).toMatchObject({ name, type, capabilities: ['gpu', 'npu'] })
    }
  })

  it('are never written over a file that is there', async () => {
    writeFileSync(path('old.csv'), 'precious')
    const run = await bulk('old.csv')
    expect(run).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('exists already') })
    expect(readFileSync(path('old.csv'), 'utf8')).toBe('precious')
  })

  it('are not begun when one line is wrong', async () => {
    const asked: string[] = []
    proxy.treat = (line) => {
      asked.push(line)
      return 'forward'
    }
    writeFileSync(path('wrong.csv'), 'name,type\na,camera\nb,Not A Label\n')
    const args = ['token', 'create', '--from', path('wrong.csv'), '--out', path('wrong.jsonl')]
    const run = await runHere(args, { env: env() })
    expect(run).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('wrong.csv, line 3 has a type') })
    expect(asked).toEqual([])
    expect(existsSync(path('wrong.jsonl.partial'))).toBe(false)
    const none = await runHere(['token', 'create', '--from', path('no.csv'), '--out', path('o.csv')], { env: env() })
    expect(none).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('ENOENT') })
  })
})

describe('an interruption between two batches', () => {
  /** Before it. */
  let made = 0

  beforeAll(async () => {
    let batches = 0
    proxy.treat = (line) => (line === BULK && ++batches === 2 ? 'lose-answer' : 'forward')
    const run = await bulk('resumed.csv')
    expect(run.exitCode).toBe(3)
    const [, kept, lost] = /(\d+) of 1100 tokens .* (\d+) more, which nobody/.exec(run.stderr) ?? []
    made = Number(kept)
    expect(made).toBeGreaterThan(0)
    expect(Number(lost)).toBeGreaterThan(0)
    expect(run.stderr).toContain('--continue')
    proxy.treat = () => 'forward'
  })

  it('loses nothing that was made, and leaves no file that looks complete', () => {
    expect(existsSync(path('resumed.csv'))).toBe(false)
    expect(statSync(path('resumed.csv.partial')).mode & 0o777).toBe(0o600)
    expect(readTokens('resumed.csv.partial')).toHaveLength(1 + made)
  })

  it('is not gone on with by accident, nor with another file', async () => {
    expect(await bulk('resumed.csv')).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('--continue') })
    writeFileSync(path('other.csv'), 'name\nother\n')
    const args = ['token', 'create', '--from', path('other.csv'), '--out', path('resumed.csv'), '--continue']
    const other = await runHere(args, { env: env() })
    expect(other).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('other tokens') })
    const nothing = await bulk('nothing.csv', '--continue')
    expect(nothing).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('nothing to continue') })
  })

  it('is gone on with where it was, also behind a line that a crash tore', async () => {
    const kept = readTokens('resumed.csv.partial').slice(1)
    appendFileSync(path('resumed.csv.partial'), '{"name":"press-torn","tok')
    const run = await bulk('resumed.csv', '--continue', '--json')
    expect(run).toMatchObject({ exitCode: 0 })
    expect(JSON.parse(run.stdout)).toEqual({ tokens: DEVICES, continuedAt: made, file: path('resumed.csv') })
    const [header, ...lines] = readFileSync(path('resumed.csv'), 'utf8').trimEnd().split('\n')
    expect(header).toBe('name,kind,type,capabilities,id,token,expiresAt')
    expect(lines.map((line) => line.split(',')[0])).toEqual(
      Array.from({ length: DEVICES }, (_, index) => `press-${index}`),
    )
    expect(lines.slice(0, made).map((line) => line.split(',')[5])).toEqual(kept.map(({ token }) => token))
    expect(statSync(path('resumed.csv')).mode & 0o777).toBe(0o600)
    expect(existsSync(path('resumed.csv.partial'))).toBe(false)
  })
})

const countTokens = async () => {
  const operator = openOperator({ url: service.url, apiToken: service.adminToken })
  let count = 0
  for await (const _token of allPages((page) => operator.listEnrollmentTokens(page))) count++
  return count
}

describe('two processes that go on with the same interrupted run', () => {
  it('make each token once: one of them succeeds, the other is refused', async () => {
    let batches = 0
    proxy.treat = (line) => (line === BULK && ++batches === 2 ? { method: 'GET', path: '/v1/nothing' } : 'forward')
    expect(await bulk('raced.jsonl')).toMatchObject({ exitCode: 1 })
    const made = readTokens('raced.jsonl.partial').length - 1
    const before = await countTokens()
    proxy.treat = () => 'forward'
    const args = ['token', 'create', '--from', 'fleet.csv', '--out', 'raced.jsonl', '--continue']
    const runs = await Promise.all([1, 2].map(() => runQflare(args, { folder, env: env() })))
    expect(new Set(runs.map(({ exitCode }) => exitCode))).toEqual(new Set([0, 4]))
    expect(await countTokens()).toBe(before + DEVICES - made)
    const tokens = readTokens('raced.jsonl')
    expect(tokens.map(({ name }) => name)).toEqual(Array.from({ length: DEVICES }, (_, index) => `press-${index}`))
    expect(new Set(tokens.map(({ id }) => id)).size).toBe(DEVICES)
    expect(statSync(path('raced.jsonl')).mode & 0o777).toBe(0o600)
    expect(readdirSync(folder).filter((name) => name.startsWith('raced.'))).toEqual(['raced.jsonl'])
  })
})

describe('a disk that is full', () => {
  it('ends with 4, says so, and loses none of the batches that it took', async () => {
    // As many blocks of 512 bytes as one batch needs, and not two.
    const command = `trap '' XFSZ; ulimit -f 400; exec "$0" "$@"`
    const args = ['token', 'create', '--from', 'fleet.csv', '--out', 'full.jsonl']
    const options = { cwd: folder, env: { PATH: process.env['PATH'] ?? '', ...env() } }
    const run = await promisify(execFile)('sh', ['-c', command, process.execPath, qflareMain, ...args], options).then(
      () => undefined,
      (error: { code: number; stderr: string }) => error,
    )
    expect(run).toMatchObject({ code: 4, stderr: expect.stringMatching(/EFBIG.*nobody holds.*--continue/) })
    const kept = readFileSync(path('full.jsonl.partial'), 'utf8').split('\n').slice(1, -1)
    expect(kept.length).toBeGreaterThan(0)
    expect(await bulk('full.jsonl', '--continue')).toMatchObject({ exitCode: 0 })
    expect(readFileSync(path('full.jsonl'), 'utf8').split('\n').slice(0, kept.length)).toEqual(kept)
    expect(readTokens('full.jsonl')).toHaveLength(DEVICES)
  })
})
