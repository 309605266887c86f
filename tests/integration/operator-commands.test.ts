import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openOperator, type QflareOperator } from '../../client/operator.ts'
import { enrollTestDevice, establish } from '../support/api.ts'
import { qflareMain } from '../support/command-suite.ts'
import { runHere } from '../support/run-here.ts'
import { startTestService, type TestService } from '../support/service.ts'

let service: TestService
let folder: string
let operator: QflareOperator

beforeAll(async () => {
  service = await startTestService({ isRealTime: true })
  folder = mkdtempSync(join(tmpdir(), 'qflare-operator-'))
  writeFileSync(inFolder('admin'), service.adminToken, { mode: 0o600 })
  operator = openOperator({ url: service.url, apiToken: service.adminToken })
})
afterAll(async () => {
  await service.close()
  rmSync(folder, { recursive: true })
})

const inFolder = (name: string) => join(folder, name)
const environment = (tokenFile = 'admin') => ({
  QFLARE_URL: service.url,
  QFLARE_ADMIN_TOKEN_FILE: inFolder(tokenFile),
})
const qflare = (args: string[], tokenFile?: string) => runHere(args, { env: environment(tokenFile) })

async function json<T>(args: string[], tokenFile?: string): Promise<T> {
  const run = await qflare([...args, '--json'], tokenFile)
  expect(run, args.join(' ')).toMatchObject({ exitCode: 0 })
  return JSON.parse(run.stdout) as T
}

interface List {
  items: { id: string; name: string; status: string }[]
  more: boolean
}

describe('qflare organization and api-token', () => {
  it('make an organization whose admin sees nothing of the first', async () => {
    const { deviceId } = await enrollTestDevice(service)
    const made = await json<{ id: string }>(['organization', 'create', 'north', '--out', inFolder('north.token')])
    expect(statSync(inFolder('north.token')).mode & 0o777).toBe(0o600)
    expect((await json<List>(['organization', 'list'])).items.map(({ id }) => id)).toContain(made.id)

    expect(await json(['device', 'list'], 'north.token')).toEqual({ items: [], more: false })
    for (const args of [['show'], ['suspend'], ['resume'], ['revoke'], ['set', '--type', 'x']]) {
      const [action = '', ...flags] = args
      const run = await qflare(['device', action, deviceId, ...flags], 'north.token')
      expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('not_found') })
    }
    const run = await qflare(['organization', 'list'], 'north.token')
    expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('forbidden') })
  })

  it('say that a name is taken, and leave no file behind for a token that was not made', async () => {
    const run = await qflare(['organization', 'create', 'north', '--out', inFolder('again.token')])
    expect(run).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('name_taken') })
    expect(() => statSync(inFolder('again.token'))).toThrow('ENOENT')
  })

  it('make a token that may do what its roles say, until it is revoked', async () => {
    const args = ['api-token', 'create', '--name', 'night shift', '--roles', 'Operator, auditor', '--ttl', '12h']
    const { id } = await json<{ id: string }>([...args, '--out', inFolder('shift.token')])
    expect((await qflare(['device', 'list'], 'shift.token')).exitCode).toBe(0)
    const refused = await qflare(['api-token', 'list'], 'shift.token')
    expect(refused.stderr).toMatch(/^qflare: This needs the role admin\. Ask an admin .* \(forbidden, request .*\)$/)

    const table = (await qflare(['api-token', 'list'])).stdout
    expect(table).toMatch(new RegExp(`^${id}  night shift +operator, auditor +open `, 'm'))
    await json(['api-token', 'revoke', id])
    await json(['api-token', 'revoke', id])
    const after = await qflare(['device', 'list'], 'shift.token')
    expect(after).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('unauthenticated') })
  })

  it('do not make a token for a file that is there already', async () => {
    const before = await json<List>(['api-token', 'list'])
    const run = await qflare(['api-token', 'create', '--name', 'x', '--roles', 'auditor', '--out', inFolder('admin')])
    expect(run).toMatchObject({ exitCode: 4, stderr: expect.stringContaining('exists already') })
    expect(await json(['api-token', 'list'])).toEqual(before)
    expect(readFileSync(inFolder('admin'), 'utf8')).toBe(service.adminToken)
  })
})

describe('qflare token', () => {
  it('lists tokens by status and revokes one, which enrols nobody any more', async () => {
    const made = await json<{ id: string; token: string }>([
      'token',
      'create',
      '--type',
      'camera',
      '--capabilities',
      'gpu',
    ])
    const { items } = await json<List>(['token', 'list', '--status', 'OPEN'])
    expect(items.find(({ id }) => id === made.id)).toMatchObject({ type: 'camera', capabilities: ['gpu'] })
    expect((await qflare(['token', 'list'])).stdout).not.toContain(made.token.split('.')[1])
    await json(['token', 'revoke', made.id])
    expect((await json<List>(['token', 'list', '--status', 'revoked'])).items.map(({ id }) => id)).toEqual([made.id])
    const env = { ...environment(), QFLARE_ENROLLMENT_TOKEN: made.token }
    const enrolled = await runHere(['enroll', '--state', inFolder('device.json')], { env })
    expect(enrolled).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('enrollment_refused') })
  })
})

describe('qflare device', () => {
  it('sets what is given, leaves the rest, and finds devices by it', async () => {
    const { deviceId } = await enrollTestDevice(service)
    const set = (...flags: string[]) => json(['device', 'set', deviceId, ...flags])
    await set(
      '--name',
      'press 7',
      '--type',
      'camera',
      '--capabilities',
      'npu,gpu',
      '--metadata',
      'a=1',
      '--metadata',
      'b=2',
    )
    expect(await set('--metadata', 'b=', '--metadata', 'site=x=y')).toMatchObject({
      name: 'press 7',
      type: 'camera',
      capabilities: ['gpu', 'npu'],
      metadata: { a: '1', site: 'x=y' },
    })
    const find = async (...flags: string[]) =>
      (await json<List>(['device', 'list', ...flags])).items.map(({ id }) => id)
    for (const flags of [
      ['--type', 'camera'],
      ['--capability', 'npu'],
      ['--name', 'press 7'],
      ['--name-prefix', 'press'],
    ]) {
      expect(await find(...flags)).toEqual([deviceId])
    }
    expect(await find('--type', 'camera', '--kind', 'coordinator')).toEqual([])
    expect(await find('--name-prefix', 'press', '--seen-after', '1h')).toEqual([])
    expect(await set('--type', '', '--capabilities', '')).toMatchObject({ type: null, capabilities: [] })
    expect((await qflare(['device', 'show', deviceId])).stdout).toMatch(/^metadata +site=x=y$/m)
  })

  it('suspends, resumes and revokes, and says when the state does not allow it', async () => {
    const { deviceId } = await enrollTestDevice(service)
    expect(await json(['device', 'suspend', deviceId])).toMatchObject({ status: 'SUSPENDED' })
    expect((await json<List>(['device', 'list', '--status', 'suspended'])).items.map(({ id }) => id)).toEqual([
      deviceId,
    ])
    expect(await json(['device', 'resume', deviceId])).toMatchObject({ status: 'ACTIVE' })
    expect((await qflare(['device', 'revoke', deviceId])).stdout).toMatch(/^edge \(.*\) is REVOKED\.$/)
    const run = await qflare(['device', 'resume', deviceId])
    expect(run.stderr).toMatch(/^qflare: The device is REVOKED\. \(session_state, request .*\)$/)
    expect(run.exitCode).toBe(1)
  })

  it('lists as many as asked, page by page, and says when there are more', async () => {
    const { items } = await json<List>(['device', 'list', '--all'])
    expect(items.length).toBeGreaterThan(2)
    const two = await json<List>(['device', 'list', '--limit', '2'])
    expect(two).toEqual({ items: items.slice(0, 2), more: true })
    expect(await json(['device', 'list', '--limit', String(items.length)])).toEqual({ items, more: false })
    const text = await qflare(['device', 'list', '--limit', '2'])
    expect(text.stdout.trimEnd().split('\n')).toHaveLength(3)
    expect(text.stderr).toContain('--all')
  })
})

describe('qflare session', () => {
  it('lists the sessions of a device and ends one, once', async () => {
    const device = await enrollTestDevice(service)
    const { sessionId } = await establish(service, device)
    const list = ['session', 'list', '--device', device.deviceId]
    expect(await json(list)).toMatchObject({ items: [{ id: sessionId, state: 'ACTIVE' }] })
    expect(await json(['session', 'end', sessionId])).toEqual({ id: sessionId, state: 'REVOKED' })
    expect(await json(list)).toMatchObject({ items: [{ id: sessionId, state: 'REVOKED' }] })
    const again = await qflare(['session', 'end', sessionId])
    expect(again).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('session_state') })
  })
})

describe.skipIf(process.platform !== 'linux')('on a terminal, what cannot be undone', () => {
  /** In a terminal of its own, by util-linux's `script`; `input` is typed. */
  function onTerminal(args: string, input: string): Promise<{ exitCode: number | null; screen: string }> {
    const env = { PATH: process.env['PATH'] ?? '', TERM: 'xterm', ...environment() }
    const command = `${process.execPath} ${qflareMain} ${args}`
    const child = spawn('script', ['-qec', command, '/dev/null'], { cwd: folder, env })
    let screen = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      screen += text
      if (text.includes('[y/N]')) child.stdin.write(input)
    })
    return new Promise((resolve, reject) => {
      child.on('error', reject).on('close', (exitCode) => resolve({ exitCode, screen }))
    })
  }

  it('is asked about, and not done without a yes', async () => {
    const { deviceId } = await enrollTestDevice(service)
    for (const answer of ['n\r', '\r', 'yesterday\r', '\u0004']) {
      const run = await onTerminal(`device revoke ${deviceId}`, answer)
      expect(run).toMatchObject({ exitCode: 1, screen: expect.stringContaining('Revoke edge') })
      expect(run.screen).toContain('Nothing was changed. (not_confirmed)')
    }
    expect(await operator.getDevice(deviceId)).toMatchObject({ status: 'ACTIVE' })
    expect(await onTerminal(`device revoke ${deviceId}`, 'y\r')).toMatchObject({ exitCode: 0 })
    expect(await operator.getDevice(deviceId)).toMatchObject({ status: 'REVOKED' })
  })

  it('is done at once with --yes', async () => {
    const { deviceId } = await enrollTestDevice(service)
    const run = await onTerminal(`device suspend ${deviceId} --yes`, '')
    expect(run).toMatchObject({ exitCode: 0, screen: expect.not.stringContaining('[y/N]') })
  })
})
