import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { qflareMain } from '../../support/command-suite.ts'
import { runHere } from '../../support/run-here.ts'
import type { Answer } from './fake-answer.ts'
import { adminToken } from './fake-operator.ts'
import { type FakeServer, startFakeServer } from './fake-server.ts'

const id = '0199b0a4-7e1c-7000-8000-000000000001'
const secret = 'qf_a.secret'
const apiToken = { id, token: secret, expiresAt: null }
const created: Record<string, unknown> = {
  'POST /v1/enrollment-tokens': { id, token: secret, expiresAt: 1 },
  'POST /v1/api-tokens': apiToken,
  'POST /v1/organizations': { id, name: 'north', createdAt: 1, adminToken: apiToken },
}
const makers: [string[], string][] = [
  [['token', 'create'], `qflare token revoke ${id}`],
  [['api-token', 'create', '--name', 'ci', '--roles', 'auditor'], `qflare api-token revoke ${id}`],
  [['organization', 'create', 'north'], 'qflare admin-token recover --revoke-others --organization "north"'],
]

let server: FakeServer
let folder: string
let env: Record<string, string>
beforeAll(async () => {
  server = await startFakeServer(Date.now())
  folder = mkdtempSync(join(tmpdir(), 'qflare-stdout-'))
  writeFileSync(join(folder, 'admin'), adminToken, { mode: 0o600 })
  env = { QFLARE_URL: server.url, QFLARE_ADMIN_TOKEN_FILE: join(folder, 'admin') }
})
afterEach(() => {
  server.tamper = undefined
  server.requests.length = 0
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

function answerCreated(line: string, answer: Answer): Answer {
  return created[line] === undefined ? answer : { status: 201, json: created[line] }
}

/** `redirection` is the shell's; without it stdout is a pipe whose reader is gone from the beginning. */
async function qflare(args: string[], redirection?: string): Promise<{ exitCode: number | null; stderr: string }> {
  const command = `trap '' XFSZ; ulimit -f 1; exec "$0" "$@" ${redirection ?? ''}`
  const child = spawn('sh', ['-c', command, process.execPath, qflareMain, ...args], {
    cwd: folder,
    env: { PATH: process.env['PATH'] ?? '', ...env },
  })
  if (redirection === undefined) child.stdout.destroy()
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  return new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (exitCode) => resolve({ exitCode, stderr }))
  })
}

describe.skipIf(process.platform !== 'linux')('a secret that is shown once', { timeout: 60_000 }, () => {
  it.each(makers)('and cannot be written is no success, and what ends it is said: %j', async (args, revocation) => {
    server.tamper = answerCreated
    for (const redirection of ['> /dev/full', undefined]) {
      const { exitCode, stderr } = await qflare(args, redirection)
      expect(stderr).toMatch(redirection === undefined ? /^qflare: .*EPIPE/ : /^qflare: .*ENOSPC/)
      expect(stderr).toContain(revocation)
      expect(stderr).not.toContain(secret)
      expect(exitCode).toBe(4)
    }
    const json = await qflare([...args, '--json'], '> /dev/full')
    expect(json.exitCode).toBe(4)
    expect(JSON.parse(json.stderr)).toMatchObject({ error: { code: 'stdout_unusable' } })
  })

  it.each(makers)('is not made where nobody could read it: %j', async (args) => {
    for (const redirection of ['>&-', '> /dev/null']) {
      const run = await qflare(args, redirection)
      expect(run).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('--out FILE') })
    }
    expect(server.requests).toEqual([])
  })
})

describe.skipIf(process.platform !== 'linux')('what is printed', { timeout: 60_000 }, () => {
  it.each([['help'], ['device list'], ['device list --json']])(
    'and cannot be written ends with 4: %s',
    async (command) => {
      const run = await qflare(command.split(' '), '> /dev/full')
      expect(run).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('ENOSPC') })
    },
  )

  it('is whole, or it ends with 4: a disk that takes a part of it', async () => {
    const run = await qflare(['help'], '> cut')
    expect(run).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('EFBIG') })
    expect(readFileSync(join(folder, 'cut')).length).toBeGreaterThan(0)
  })

  it('to a reader that has read enough is well', async () => {
    expect(await qflare(['device', 'list'])).toEqual({ exitCode: 0, stderr: '' })
    expect(await qflare(['help'])).toEqual({ exitCode: 0, stderr: '' })
  })
})

describe('a hostile server does not reach the terminal', () => {
  const evil = 'a\u001b]0;x\u0007\u009b2J\u202e\u2028\u{e0041}\u007f\nqflare: all is well'
  const device = {
    id,
    name: evil,
    kind: 'device',
    status: 'ACTIVE',
    spiffeId: 'spiffe://a/b',
    activeSessionId: null,
    identityKey: { kid: 'k', alg: 'a', publicKey: 'p' },
    metadata: { [evil]: evil },
    createdAt: 1,
    lastSeenAt: null,
  }
  const steers = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u

  it.each(makers)('with a token that is more than a token: %j', async (args) => {
    for (const token of ['a\u001b[2J', 'a\u009b2J', 'a\u202e', 'a\nb', 'a b', 'ä', '']) {
      server.tamper = (line) => ({
        status: 201,
        json: JSON.parse(JSON.stringify(created[line]).replace(secret, JSON.stringify(token).slice(1, -1))),
      })
      for (const flags of [[], ['--json']]) {
        const run = await runHere([...args, ...flags], { env })
        expect(run).toMatchObject({ exitCode: 3, stdout: '', stderr: expect.stringContaining('bad_answer') })
        expect(run.stderr).not.toMatch(steers)
      }
    }
  })

  it('in JSON, which says the same as before', async () => {
    server.tamper = () => ({ status: 200, json: device })
    const run = await runHere(['device', 'show', id, '--json'], { env })
    expect(run.stdout.replaceAll('\n', '')).not.toMatch(steers)
    expect(JSON.parse(run.stdout)).toMatchObject({ name: evil, metadata: { [evil]: evil } })
  })

  it('in text, nor in an error, which is one line', async () => {
    server.tamper = () => ({ status: 200, json: device })
    const shown = await runHere(['device', 'show', id], { env })
    expect(shown.stdout.replaceAll('\n', '')).not.toMatch(steers)
    server.tamper = () => ({ status: 409, json: { code: 'session_state', detail: evil } })
    const text = await runHere(['device', 'show', id], { env })
    expect(text).toMatchObject({ exitCode: 1, stderr: expect.not.stringMatching(steers) })
    const json = await runHere(['device', 'show', id, '--json'], { env })
    expect(json.stderr).not.toMatch(steers)
    expect(JSON.parse(json.stderr)).toMatchObject({ error: { message: evil } })
  })
})

it('an error of our own that lists things keeps its lines', async () => {
  const { entries: extra } = await import('../../../operations/entries.ts')
  const run = await runHere(['backup', '--check'], { env: { PORT: 'x', QFLARE_CRYPTO: 'y' }, extra })
  const lines =
    /^qflare: The configuration cannot be used:\n {2}PORT: .+\n {2}QFLARE_CRYPTO: .+ \(configuration_invalid\)$/
  expect(run).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringMatching(lines) })
})
