import { mkdtempSync, rmSync } from 'node:fs'
import { chmod, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { communicationKey } from '../../../protocol/exchange/epochs.ts'
import { choosePrimitives } from '../../../protocol/primitives/choose.ts'
import { describeCommand, runQflare } from '../../support/command-suite.ts'
import { adminToken } from './fake-operator.ts'
import { type FakeServer, startFakeServer } from './fake-server.ts'

let folder: string
let server: FakeServer
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'qflare-command-'))
  server = await startFakeServer(Date.now())
  await writeFile(join(folder, 'admin-token'), `${adminToken}\n`, { mode: 0o600 })
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

async function qflare(args: string[], options: { env?: Record<string, string>; stdin?: string } = {}) {
  const env = { QFLARE_URL: server.url, QFLARE_DATA_DIR: folder, ...options.env }
  return runQflare(args, { folder, ...options, env })
}

describeCommand(async () => {
  const adminFolder = mkdtempSync(join(tmpdir(), 'qflare-admin-'))
  const adminTokenFile = join(adminFolder, 'admin-token')
  await writeFile(adminTokenFile, adminToken, { mode: 0o600 })
  const fake = await startFakeServer(Date.now())
  return {
    url: fake.url,
    adminTokenFile,
    async stop() {
      await fake[Symbol.asyncDispose]()
      rmSync(adminFolder, { recursive: true })
    },
  }
})

describe('a process that was given a wrong command line', { timeout: 60_000 }, () => {
  it.each([
    ['a token as an argument', ['enroll', '0199.secretsecret.pin']],
    ['no token on stdin', ['enroll']],
  ])('ends with 2 and one line on stderr, which repeats no secret: %s', async (_what, args) => {
    const run = await qflare(args)
    expect(run).toMatchObject({ exitCode: 2, stdout: '' })
    expect(run.stderr).toMatch(/^qflare: .+\n$/)
    expect(run.stderr).not.toContain('secretsecret')
  })
})

describe('local state that is missing or not usable ends with 4:', { timeout: 60_000 }, () => {
  it.each([['exchange'], ['key'], ['status']])('%s without a device', async (command) => {
    const { exitCode, stdout, stderr } = await qflare([command, '--state', 'none.json'])
    expect(exitCode).toBe(4)
    expect(stdout + stderr).toContain('qflare enroll')
  })

  it('an operator’s command without a token file, or with a file of something else', async () => {
    const missing = await qflare(['device', 'list'], { env: { QFLARE_ADMIN_TOKEN_FILE: 'none' } })
    expect(missing).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('none') })
    await writeFile(join(folder, 'two-lines'), 'a\nb\n')
    const odd = await qflare(['device', 'list'], { env: { QFLARE_ADMIN_TOKEN_FILE: 'two-lines' } })
    expect(odd).toMatchObject({ exitCode: 4, stderr: expect.not.stringContaining('a\nb') })
  })

  it('a state that others can read', async () => {
    await qflare(['enroll', '--state', 'open.json'], { stdin: server.newToken() })
    await chmod(join(folder, 'open.json'), 0o644)
    const run = await qflare(['exchange', '--state', 'open.json'])
    expect(run).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('chmod 600') })
  })
})

describe('a server that is away ends with 3:', { timeout: 60_000 }, () => {
  it('an operator’s command, and status, which says so on stdout', async () => {
    const env = { QFLARE_URL: 'http://127.0.0.1:9' }
    const run = await qflare(['device', 'list', '--json'], { env })
    expect(run.exitCode).toBe(3)
    expect(JSON.parse(run.stderr)).toMatchObject({
      error: { code: 'network', advice: expect.stringContaining('npm start') },
    })
    await qflare(['enroll', '--state', 'away.json'], { stdin: server.newToken() })
    const status = await qflare(['status', '--state', 'away.json'], { env })
    expect(status).toMatchObject({ exitCode: 3, stdout: expect.stringContaining('Cannot reach http://127.0.0.1:9') })
  })
})

describe('what is printed', { timeout: 60_000 }, () => {
  it('is the key of both ends, by its fingerprint', async () => {
    const crypto = await choosePrimitives()
    server.now = Date.now()
    await qflare(['enroll', '--state', 'k.json'], { env: { QFLARE_ENROLLMENT_TOKEN: server.newToken() } })
    await qflare(['exchange', '--state', 'k.json'])
    const run = await qflare(['key', '--state', 'k.json', '--json'])
    const shown = JSON.parse(run.stdout) as { sessionId: string; epoch: number; fingerprint: string }
    const session = server.sessions.get(shown.sessionId)
    expect(session?.bucket).toBe(shown.epoch)
    const names = { sessionId: shown.sessionId, epoch: shown.epoch, purpose: 'encryption' } as const
    const key = communicationKey(crypto, session?.chain as Uint8Array, names)
    expect(shown.fingerprint).toBe(Buffer.from(crypto.hash256(key)).toString('hex').slice(0, 32))
    const text = (await qflare(['key', '--state', 'k.json'])).stdout
    expect(text).toContain('--reveal')
    expect(text).not.toContain(Buffer.from(key).toString('base64url'))
  })

  it('does not steer a terminal, whatever a device is called, and holds every page', async () => {
    const [first] = server.devices.values()
    for (let i = 0; i < 5; i++) {
      const id = `0199b0a4-7e1c-7000-8000-00000000000${i}`
      server.devices.set(id, { ...(first as NonNullable<typeof first>), id, name: `evil\u001b[2J${i}` })
    }
    const { stdout } = await qflare(['device', 'list'])
    expect(stdout).not.toContain('\u001b')
    expect(stdout.trimEnd().split('\n')).toHaveLength(server.devices.size + 1)
  })
})
