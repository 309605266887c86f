import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { openAttestationInputs } from '../../client/attestation-inputs.ts'
import { openAuditor } from '../../client/auditor.ts'
import { openIncidents } from '../../client/incidents.ts'
import { type Device, openOperator, type QflareOperator } from '../../client/operator.ts'
import { type DemoMonitor, startDemoMonitor } from '../support/demo-monitor.ts'
import { addIncident } from '../support/incidents.ts'
import { type Proxy, startProxy } from '../support/proxy.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

const main = join(import.meta.dirname, '..', '..', 'demo', 'main.ts')
/** In the table. The incidents are resolved after it. */
const steps = 36

let service: TestService
let proxy: Proxy
let operator: QflareOperator
let folder: string
let monitor: DemoMonitor

beforeAll(async () => {
  service = await startTestService({ isRealTime: true })
  proxy = await startProxy(service.url)
  operator = openOperator({ url: service.url, apiToken: service.adminToken })
  folder = mkdtempSync(join(tmpdir(), 'qflare-demo-'))
  writeFileSync(join(folder, 'admin-token'), service.adminToken, { mode: 0o600 })
  monitor = startDemoMonitor(service)
})
afterEach(() => {
  proxy.treat = () => 'forward'
})
afterAll(async () => {
  await monitor[Symbol.asyncDispose]()
  await proxy[Symbol.asyncDispose]()
  await service.close()
  rmSync(folder, { recursive: true })
})

interface Run {
  exitCode: number | null
  stdout: string
  stderr: string
}

function start(
  command: string,
  args: string[],
  env: Record<string, string>,
  onOutput: (child: Child, text: string) => void,
) {
  const base = { PATH: process.env['PATH'] ?? '', TERM: 'xterm', QFLARE_URL: proxy.url, QFLARE_DATA_DIR: folder }
  const child = spawn(command, args, { env: { ...base, ...env } })
  const run: Run = { exitCode: null, stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    run.stdout += text
    monitor.follow(run.stdout)
    onOutput(child, run.stdout)
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (run.stderr += text))
  return new Promise<Run>((resolve, reject) => {
    child.on('error', reject).on('close', (exitCode) => resolve({ ...run, exitCode }))
  })
}
type Child = ReturnType<typeof spawn>

const demo = (args: string[], env: Record<string, string> = {}) =>
  start(process.execPath, [main, '--devices', '5', ...args], env, () => undefined)

const inputs = () => openAttestationInputs({ url: service.url, apiToken: service.adminToken })

/** What is the same in every run, on a screen and in a file. */
function withoutFigures(line: string): string {
  return line
    .replace(/^( ✔ {2}|ok {4})/, '✔ ')
    .replace(/demo-\w{4}-/g, 'demo-')
    .replace(/http\S+/, 'URL')
    .replace(/\b[0-9a-f]{16}\b/g, 'fingerprint')
    .replace(/●+/g, '●')
    .replace(/\d+/g, '#')
    .trim()
}

async function fleet(): Promise<Device[]> {
  const devices: Device[] = []
  for await (const device of operator.devices({ type: 'qflare-demo' })) devices.push(device)
  return devices
}

describe('npm run demo', { timeout: 120_000 }, () => {
  it('shows its steps and a table, leaves no device that could do anything, and does it all again', async () => {
    for (const times of [1, 2]) {
      const run = await demo([])
      expect(run).toMatchObject({ exitCode: 0, stderr: '' })
      expect(run.stdout.match(/^ok {4}/gm)).toHaveLength(steps + 1)
      expect(run.stdout.match(/ ok$/gm)).toHaveLength(steps)
      expect(run.stdout).toMatch(/^ exchange keys +5 +\d+\.\d +\d+\.\d {3}ok$/m)
      expect(run.stdout).not.toContain('\u001b')
      const devices = await fleet()
      expect(new Set(devices.map(({ name }) => name)).size).toBe(6 * times)
      expect(devices.every(({ status }) => status === 'REVOKED')).toBe(true)
      expect((await inputs().listTrustAnchors()).items).toEqual([])
      expect((await inputs().listReferenceValues()).items).toHaveLength(1)
      expect((await operator.getPolicy('qflare-demo')).version).toBe(1)
    }
  })

  it('resolves the incidents that it caused, each time, and leaves open what others have', async () => {
    const incidents = openIncidents({ url: service.url, apiToken: service.adminToken })
    const before = (await incidents.listIncidents({ limit: 200 })).items.map(({ id }) => id)
    const foreign = await addIncident(service, { rule: 'attestation-failed', severity: 'critical' })
    for (const times of [1, 2]) {
      const { exitCode, stdout } = await demo([])
      expect(exitCode).toBe(0)
      expect(stdout).toMatch(
        /^ok {4}Its incidents, .* resolves: (attestation-failed|enrollment-token-reused), (?!\1)[a-z-]+\.$/m,
      )
      const { items } = await incidents.listIncidents({ limit: 200 })
      const mine = items.filter(({ id }) => ![foreign, ...before].includes(id))
      expect(mine.map(({ rule, status }) => `${rule} ${status}`).toSorted()).toEqual(
        ['attestation-failed RESOLVED', 'enrollment-token-reused RESOLVED'].flatMap((one) => Array(times).fill(one)),
      )
      expect(mine.every(({ acknowledgedBy, resolvedBy }) => acknowledgedBy !== null && resolvedBy !== null)).toBe(true)
    }
    expect(await incidents.getIncident(foreign)).toMatchObject({ status: 'OPEN', acknowledgedAt: null })
  })

  it('has one device in quarantine while the others train on, and takes it back, and so says the log', async () => {
    const { stdout } = await demo([])
    const name = /^ok {4}(demo-\w{4}-02) boots what nobody released.*contraindicated \(psa\.component\)/m.exec(
      stdout,
    )?.[1]
    expect(stdout).toMatch(/^ok {4}The fleet: 4 ACTIVE, 1 QUARANTINED\.\n {6}●✖●●●$/m)
    expect(stdout).toContain(`Round 2: ${name} is refused (quarantined), and the others go on, with 4 keys.`)
    expect(stdout).toContain(`${name} is in round 2 again`)
    expect(stdout).toMatch(
      /^ok {4}Round 3: demo-\w{4}-03 is refused \(not_active\), and the others go on, with 4 keys\.$/m,
    )
    expect(stdout).toMatch(/^ok {4}3 rounds are closed, and certified: .* \(5, 5 and 4 devices\)/m)
    const device = (await fleet()).find((one) => one.name === name)
    const auditor = openAuditor({ url: service.url, apiToken: service.adminToken, crypto })
    const { items } = await auditor.listEvents({ device: device?.id, order: 'oldest', limit: 200 })
    const types = items.map(({ event }) => event.type)
    const decisive = ['device.enrolled', 'device.quarantined', 'device.quarantine_cleared']
    expect(types.filter((type) => decisive.includes(type))).toEqual(decisive)
  })

  it('is what README.md shows of it', async () => {
    const readme = readFileSync(join(import.meta.dirname, '..', '..', 'README.md'), 'utf8')
    const shown = /```\n(QFLARE: a fleet meets [^`]*)```/.exec(readme)?.[1]?.split('\n') ?? []
    const { stdout } = await demo([])
    const story = stdout.replace(/^ STEP[^]*?\n\n/m, '').split('\n')
    const hints = story.indexOf('Look at it yourself')
    const told = [...story.slice(1, hints), ...story.slice(hints + 4)].map(withoutFigures)
    expect(shown.filter((line) => line !== '').map(withoutFigures)).toEqual(told.filter((line) => line !== ''))
  })

  it('leaves its devices as they are when asked to', async () => {
    const before = await fleet()
    expect((await demo(['--keep'])).exitCode).toBe(0)
    const kept = (await fleet()).filter(({ id }) => before.every((device) => device.id !== id))
    expect(kept.map(({ status }) => status).toSorted()).toEqual([
      ...Array.from({ length: 5 }, () => 'ACTIVE'),
      'REVOKED',
    ])
    for (const { id } of kept) await operator.revokeDevice(id)
  })
})

describe('when something is not as it should be, npm run demo', { timeout: 120_000 }, () => {
  it.each([
    ['revoke', 'exchange, revoked'],
    ['suspend', 'exchange, suspended'],
  ])('does not end with 0: a service that says %s and does not do it', async (action, step) => {
    let lied = false
    proxy.treat = (line) => {
      const id = new RegExp(`^POST /v1/devices/([^/]+)/${action}$`).exec(line)?.[1]
      if (id === undefined || lied) return 'forward'
      lied = true
      return { method: 'GET', path: `/v1/devices/${id}` }
    }
    const { exitCode, stdout } = await demo([])
    expect(exitCode).toBe(1)
    expect(stdout).toMatch(new RegExp(`^FAIL {2}${step}: 1 of 1 did not go .* was served`, 'm'))
    expect(stdout).toMatch(new RegExp(`^ ${step} .* 1 failed$`, 'm'))
    expect((await fleet()).every(({ status }) => status === 'REVOKED')).toBe(true)
  })

  it('has found something where a device that was cleared is not', async () => {
    proxy.treat = (line) => {
      const id = /^POST \/v1\/devices\/([^/]+)\/clear-quarantine$/.exec(line)?.[1]
      return id === undefined ? 'forward' : { method: 'GET', path: `/v1/devices/${id}` }
    }
    const { exitCode, stdout } = await demo([])
    expect(exitCode).toBe(1)
    expect(stdout).toMatch(/^FAIL {2}clear it: 1 of 1 did not go/m)
    expect(stdout).toMatch(/^FAIL {2}open round 3: 1 of 1 did not go .*demo-\w{4}-03 alone should have been refused/m)
  })

  it('goes on with the others when one device fails', async () => {
    let refused = false
    proxy.treat = (line) => {
      if (refused || !/^POST \/v1\/enrollments\/.*\/complete$/.test(line)) return 'forward'
      refused = true
      return { method: 'GET', path: '/v1/nothing' }
    }
    const { exitCode, stdout } = await demo([])
    expect(exitCode).toBe(1)
    expect(stdout).toContain('FAIL  enrol: 1 of 5 did not go as they should')
    expect(stdout).toMatch(/^ok {4}4 exchanges with ML-KEM-1024/m)
  })

  it('says how to start a service where there is none', async () => {
    const run = await demo([], { QFLARE_URL: 'http://127.0.0.1:9' })
    expect(run).toMatchObject({ exitCode: 3, stdout: '', stderr: expect.stringContaining('npm start') })
  })

  it('says which API token it wants', async () => {
    const run = await demo([], { QFLARE_DATA_DIR: join(folder, 'none') })
    expect(run).toMatchObject({ exitCode: 4, stdout: '', stderr: expect.stringContaining('admin-token') })
    writeFileSync(join(folder, 'wrong'), 'qf_00000000-0000-4000-8000-000000000000.wrong')
    const wrong = await demo([], { QFLARE_ADMIN_TOKEN_FILE: join(folder, 'wrong') })
    expect(wrong).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringContaining('unauthenticated') })
    expect(await demo(['--devices', '2'])).toMatchObject({ exitCode: 2 })
    expect(await demo(['--help'])).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('npm run demo') })
  })
})

describe('told to end, npm run demo', { timeout: 120_000 }, () => {
  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('by %s, revokes its devices and ends with %i', async (signal, code) => {
    let told = false
    const run = await start(process.execPath, [main, '--devices', '40'], {}, (child, text) => {
      if (told || !text.includes('devices enrol')) return
      told = true
      child.kill(signal)
    })
    expect(run).toMatchObject({ exitCode: code, stderr: '', stdout: expect.stringContaining('Interrupted') })
    expect((await fleet()).every(({ status }) => status === 'REVOKED')).toBe(true)
  })

  it('while it waits for the security monitor, says whose the incidents are then', async () => {
    let told = false
    const none = { answer: { items: [], nextCursor: null } }
    proxy.treat = (line) => (line.startsWith('GET /v1/incidents?') ? none : 'forward')
    const run = await start(process.execPath, [main, '--devices', '3'], {}, (child, text) => {
      if (told || !text.includes('Look at it yourself')) return
      told = true
      child.kill('SIGINT')
    })
    expect(run).toMatchObject({ exitCode: 130, stderr: '' })
    expect(run.stdout).toMatch(/^FAIL {2}resolve incidents: .* Nobody waited for the security monitor\.$/m)
    expect(run.stdout).toContain('Its incidents are yours to resolve: npx --no qflare incidents list --status open')
  })
})

describe.skipIf(process.platform !== 'linux')('on a terminal, npm run demo', { timeout: 120_000 }, () => {
  const onTerminal = (
    env: Record<string, string>,
    onOutput: (child: Child, text: string) => void = () => undefined,
    { columns, devices } = { columns: 100, devices: 40 },
  ) => {
    const command = `stty cols ${columns}; ${process.execPath} ${main} --devices ${devices}`
    return start('script', ['-qec', command, '/dev/null'], env, onOutput)
  }

  it('moves, and leaves each step on a line of its own and the cursor visible', async () => {
    const { exitCode, stdout } = await onTerminal({})
    expect(exitCode).toBe(0)
    expect(stripVTControlCharacters(stdout)).toMatch(/━─* {2}exchange keys {2}\d+\/40/)
    expect(stdout.lastIndexOf('\u001b[?25h')).toBeGreaterThan(stdout.lastIndexOf('\u001b[?25l'))
    const left = stripVTControlCharacters(stdout)
      .split('\n')
      .map((line) => line.slice(line.trimEnd().lastIndexOf('\r') + 1).trimEnd())
    expect(left.filter((line) => line.startsWith(' ✔  '))).toHaveLength(steps + 1)
  })

  it('keeps every line of its steps and its table within a narrow screen', async () => {
    const { exitCode, stdout } = await onTerminal({}, undefined, { columns: 40, devices: 40 })
    expect(exitCode).toBe(0)
    const [story = ''] = stripVTControlCharacters(stdout).split('Look at it yourself')
    const lines = story.split(/[\r\n]/)
    expect(lines.filter((line) => line.length > 40)).toEqual([])
    expect(lines.filter((line) => line.startsWith(' ✔  '))).toHaveLength(steps)
    expect(lines.find((line) => line.startsWith(' STEP'))?.trim()).toMatch(/^STEP +COUNT +RESULT$/)
  })

  it('has no colours under NO_COLOR', async () => {
    const { stdout } = await onTerminal({ NO_COLOR: '1' })
    for (const style of [1, 2, 32, 35]) expect(stdout).not.toContain(`\u001b[${style}m`)
    expect(stdout).toContain('━')
  })

  it('cleans up on ctrl-C, and does not end with 0', async () => {
    let typed = false
    const { exitCode, stdout } = await onTerminal({}, (child, text) => {
      if (typed || !text.includes('exchange keys')) return
      typed = true
      child.stdin?.write('\u0003')
    })
    expect(stdout).toContain('Interrupted')
    expect(exitCode).toBe(130)
    expect((await fleet()).every(({ status }) => status === 'REVOKED')).toBe(true)
  })

  it('cleans up when the terminal goes away under it', async () => {
    let isGone = false
    const before = (await fleet()).length
    await onTerminal({}, (child, text) => {
      if (isGone || !text.includes('exchange keys')) return
      isGone = true
      child.kill('SIGKILL')
    })
    await vi.waitFor(async () => expect((await fleet()).filter(({ status }) => status !== 'REVOKED')).toEqual([]), {
      timeout: 60_000,
      interval: 200,
    })
    expect((await fleet()).length).toBe(before + 41)
  })
})
