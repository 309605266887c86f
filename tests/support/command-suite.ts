import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

export const qflareMain = join(import.meta.dirname, '..', '..', 'operations', 'qflare.ts')

export interface CommandRun {
  exitCode: number | null
  stdout: string
  stderr: string
}

/** Runs `qflare` as a process of its own, in `folder`, with no environment but PATH and what is given. */
export function runQflare(
  args: string[],
  options: { folder: string; env?: Record<string, string>; stdin?: string },
): Promise<CommandRun> {
  const env = { PATH: process.env['PATH'] ?? '', ...options.env }
  const child = spawn(process.execPath, [qflareMain, ...args], { cwd: options.folder, env })
  const run: CommandRun = { exitCode: null, stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (run.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (run.stderr += text))
  child.stdin.on('error', () => undefined).end(options.stdin ?? '')
  return new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (exitCode) => resolve({ ...run, exitCode }))
  })
}

export interface RunningService {
  url: string
  /** Of an API token with role admin or operator. */
  adminTokenFile: string
  stop(): Promise<void>
}

/** What `qflare` guarantees against a running service, whoever plays it. The service's clock is this machine's. */
export function describeCommand(startService: () => Promise<RunningService>): void {
  describe('the qflare command', { timeout: 60_000 }, () => {
    let service: RunningService
    let folder: string
    let env: Record<string, string>

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'qflare-command-'))
      service = await startService()
      env = { QFLARE_URL: service.url, QFLARE_ADMIN_TOKEN_FILE: service.adminTokenFile }
    })
    afterAll(async () => {
      await service?.stop()
      rmSync(folder, { recursive: true })
    })

    const qflare = (args: string, stdin = '') => runQflare(args.split(' '), { folder, env, stdin })
    async function succeed(args: string, stdin = ''): Promise<string> {
      const run = await qflare(args, stdin)
      expect(run, `qflare ${args}`).toMatchObject({ exitCode: 0 })
      return run.stdout
    }
    const json = async (args: string, stdin = '') => JSON.parse(await succeed(`${args} --json`, stdin)) as never

    it('enrols a device with a piped token, exchanges, derives a key and says so', async () => {
      const token = await succeed('token create')
      expect(token).toMatch(/^[^\s.]+\.[^\s.]+\.[^\s.]+\n$/)
      const device: { deviceId: string; stateFile: string } = await json('enroll --name edge-1', token)
      expect(device).toMatchObject({ kind: 'device', name: 'edge-1', stateFile: join('.qflare', 'device.json') })
      expect(statSync(join(folder, device.stateFile)).mode & 0o777).toBe(0o600)

      const session: { sessionId: string; epoch: number } = await json('exchange')
      const key = await json('key')
      expect(key).toMatchObject({ sessionId: session.sessionId, purpose: 'encryption', sizeBytes: 64 })
      expect(key).not.toHaveProperty('key')
      expect(await succeed('status')).toContain(session.sessionId)
      expect(await json('status')).toMatchObject({
        device: { deviceId: device.deviceId, session: { sessionId: session.sessionId, clockOffsetMs: 0 } },
        server: { reachable: true, ready: true },
      })
    })

    it('shows a key when asked, the same as it writes', async () => {
      const shown: { key: string; epoch: number } = await json('key --purpose signing --reveal')
      const written: { epoch: number } = await json('key --purpose signing --out key.bin')
      expect(statSync(join(folder, 'key.bin')).mode & 0o777).toBe(0o600)
      const bytes = readFileSync(join(folder, 'key.bin'))
      expect(bytes).toHaveLength(64)
      if (shown.epoch === written.epoch) expect(bytes.toString('base64url')).toBe(shown.key)
      expect(await qflare('key --out key.bin')).toMatchObject({ exitCode: 4 })
    })

    it('enrols a coordinator from a file, under the name that the token fixes and no other', async () => {
      await succeed('token create --kind coordinator --name hub --ttl 600 --out token')
      expect(statSync(join(folder, 'token')).mode & 0o777).toBe(0o600)
      const refused = await qflare('enroll --token-file token --kind device --name hub --state hub.json')
      expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('kind_mismatch') })
      const hub = await json('enroll --token-file token --kind coordinator --name hub --alg ML-DSA-87 --state hub.json')
      expect(hub).toMatchObject({ kind: 'coordinator', identityKey: { alg: 'ML-DSA-87' } })
      expect(await json('exchange --state hub.json')).toHaveProperty('sessionId')
    })

    it('names the code of a refusal: a token serves once', async () => {
      const args = 'enroll --token-file token --kind coordinator --name hub --state other.json'
      const run = await qflare(args)
      expect(run.exitCode).toBe(1)
      expect(run.stderr).toMatch(/^qflare: .*\(enrollment_refused, request [0-9a-f-]{36}\)\n$/)
      expect(run.stderr).not.toContain(readFileSync(join(folder, 'token'), 'utf8').split('.')[1])
    })

    it('does not enrol over a device that is there', async () => {
      const run = await qflare('enroll --state hub.json', await succeed('token create'))
      expect(run).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('already_enrolled') })
    })

    it('exchanges again: another session', async () => {
      const first: { sessionId: string } = await json('exchange')
      const second: { sessionId: string } = await json('exchange')
      expect(first.sessionId).not.toBe(second.sessionId)
    })

    it('lists devices, and revokes one, which can exchange no more', async () => {
      const { device }: { device: { deviceId: string } } = await json('status --state hub.json')
      expect(await succeed('device list')).toMatch(new RegExp(`^${device.deviceId} +hub +coordinator +ACTIVE`, 'm'))
      expect(await json(`device revoke ${device.deviceId}`)).toMatchObject({ id: device.deviceId, status: 'REVOKED' })
      expect(await json(`device revoke ${device.deviceId}`)).toMatchObject({ status: 'REVOKED' })
      const { items }: { items: { id: string }[] } = await json('device list --status REVOKED')
      expect(items.map(({ id }) => id)).toEqual([device.deviceId])
      const run = await qflare('exchange --state hub.json')
      expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('exchange_refused') })
    })

    it('says when an API token is not one', async () => {
      writeFileSync(join(folder, 'wrong-token'), 'qf_00000000-0000-4000-8000-000000000000.wrong\n')
      const wrong = { ...env, QFLARE_ADMIN_TOKEN_FILE: join(folder, 'wrong-token') }
      const run = await runQflare(['device', 'list'], { folder, env: wrong })
      expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('unauthenticated') })
    })
  })
}
