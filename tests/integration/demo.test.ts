import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openAttestationInputs } from '../../client/attestation-inputs.ts'
import { openAuditor } from '../../client/auditor.ts'
import { openIncidents } from '../../client/incidents.ts'
import { demoSteps, useDemo } from '../support/demo.ts'
import { addIncident } from '../support/incidents.ts'
import { crypto } from '../support/service.ts'

const suite = useDemo()

const inputs = () => openAttestationInputs({ url: suite.service.url, apiToken: suite.service.adminToken })

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

describe('npm run demo', { timeout: 120_000 }, () => {
  it('shows its steps and a table, leaves no device that could do anything, and does it all again', async () => {
    for (const times of [1, 2]) {
      const run = await suite.demo([])
      expect(run).toMatchObject({ exitCode: 0, stderr: '' })
      expect(run.stdout.match(/^ok {4}/gm)).toHaveLength(demoSteps + 1)
      expect(run.stdout.match(/ ok$/gm)).toHaveLength(demoSteps)
      expect(run.stdout).toMatch(/^ exchange keys +5 +\d+\.\d +\d+\.\d {3}ok$/m)
      expect(run.stdout).not.toContain('\u001b')
      const devices = await suite.fleet()
      expect(new Set(devices.map(({ name }) => name)).size).toBe(6 * times)
      expect(devices.every(({ status }) => status === 'REVOKED')).toBe(true)
      expect((await inputs().listTrustAnchors()).items).toEqual([])
      expect((await inputs().listReferenceValues()).items).toHaveLength(1)
      expect((await suite.operator.getPolicy('qflare-demo')).version).toBe(1)
    }
  })

  it('resolves the incidents that it caused, each time, and leaves open what others have', async () => {
    const incidents = openIncidents({ url: suite.service.url, apiToken: suite.service.adminToken })
    const before = (await incidents.listIncidents({ limit: 200 })).items.map(({ id }) => id)
    const foreign = await addIncident(suite.service, { rule: 'attestation-failed', severity: 'critical' })
    for (const times of [1, 2]) {
      const { exitCode, stdout } = await suite.demo([])
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
    const { stdout } = await suite.demo([])
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
    const device = (await suite.fleet()).find((one) => one.name === name)
    const auditor = openAuditor({ url: suite.service.url, apiToken: suite.service.adminToken, crypto })
    const { items } = await auditor.listEvents({ device: device?.id, order: 'oldest', limit: 200 })
    const types = items.map(({ event }) => event.type)
    const decisive = ['device.enrolled', 'device.quarantined', 'device.quarantine_cleared']
    expect(types.filter((type) => decisive.includes(type))).toEqual(decisive)
  })

  it('is what README.md shows of it', async () => {
    const readme = readFileSync(join(import.meta.dirname, '..', '..', 'README.md'), 'utf8')
    const shown = /```\n(QFLARE: a fleet meets [^`]*)```/.exec(readme)?.[1]?.split('\n') ?? []
    const { stdout } = await suite.demo([])
    const story = stdout.replace(/^ STEP[^]*?\n\n/m, '').split('\n')
    const hints = story.indexOf('Look at it yourself')
    const told = [...story.slice(1, hints), ...story.slice(hints + 4)].map(withoutFigures)
    expect(shown.filter((line) => line !== '').map(withoutFigures)).toEqual(told.filter((line) => line !== ''))
  })

  it('leaves its devices as they are when asked to', async () => {
    const before = await suite.fleet()
    expect((await suite.demo(['--keep'])).exitCode).toBe(0)
    const kept = (await suite.fleet()).filter(({ id }) => before.every((device) => device.id !== id))
    expect(kept.map(({ status }) => status).toSorted()).toEqual([
      ...Array.from({ length: 5 }, () => 'ACTIVE'),
      'REVOKED',
    ])
    for (const { id } of kept) await suite.operator.revokeDevice(id)
  })
})

describe('when something is not as it should be, npm run demo', { timeout: 120_000 }, () => {
  it.each([
    ['revoke', 'exchange, revoked'],
    ['suspend', 'exchange, suspended'],
  ])('does not end with 0: a service that says %s and does not do it', async (action, step) => {
    let lied = false
    suite.proxy.treat = (line) => {
      const id = new RegExp(`^POST /v1/devices/([^/]+)/${action}$`).exec(line)?.[1]
      if (id === undefined || lied) return 'forward'
      lied = true
      return { method: 'GET', path: `/v1/devices/${id}` }
    }
    const { exitCode, stdout } = await suite.demo([])
    expect(exitCode).toBe(1)
    expect(stdout).toMatch(new RegExp(`^FAIL {2}${step}: 1 of 1 did not go .* was served`, 'm'))
    expect(stdout).toMatch(new RegExp(`^ ${step} .* 1 failed$`, 'm'))
    expect((await suite.fleet()).every(({ status }) => status === 'REVOKED')).toBe(true)
  })

  it('has found something where a device that was cleared is not', async () => {
    suite.proxy.treat = (line) => {
      const id = /^POST \/v1\/devices\/([^/]+)\/clear-quarantine$/.exec(line)?.[1]
      return id === undefined ? 'forward' : { method: 'GET', path: `/v1/devices/${id}` }
    }
    const { exitCode, stdout } = await suite.demo([])
    expect(exitCode).toBe(1)
    expect(stdout).toMatch(/^FAIL {2}clear it: 1 of 1 did not go/m)
    expect(stdout).toMatch(/^FAIL {2}open round 3: 1 of 1 did not go .*demo-\w{4}-03 alone should have been refused/m)
  })

  it('goes on with the others when one device fails', async () => {
    let refused = false
    suite.proxy.treat = (line) => {
      if (refused || !/^POST \/v1\/enrollments\/.*\/complete$/.test(line)) return 'forward'
      refused = true
      return { method: 'GET', path: '/v1/nothing' }
    }
    const { exitCode, stdout } = await suite.demo([])
    expect(exitCode).toBe(1)
    expect(stdout).toContain('FAIL  enrol: 1 of 5 did not go as they should')
    expect(stdout).toMatch(/^ok {4}4 exchanges with ML-KEM-1024/m)
  })

  it('says how to start a service where there is none', async () => {
    const run = await suite.demo([], { QFLARE_URL: 'http://127.0.0.1:9' })
    expect(run).toMatchObject({ exitCode: 3, stdout: '', stderr: expect.stringContaining('npm start') })
  })

  it('says which API token it wants', async () => {
    const run = await suite.demo([], { QFLARE_DATA_DIR: join(suite.folder, 'none') })
    expect(run).toMatchObject({ exitCode: 4, stdout: '', stderr: expect.stringContaining('admin-token') })
    writeFileSync(join(suite.folder, 'wrong'), 'qf_00000000-0000-4000-8000-000000000000.wrong')
    const wrong = await suite.demo([], { QFLARE_ADMIN_TOKEN_FILE: join(suite.folder, 'wrong') })
    expect(wrong).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringContaining('unauthenticated') })
    expect(await suite.demo(['--devices', '2'])).toMatchObject({ exitCode: 2 })
    expect(await suite.demo(['--help'])).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('npm run demo') })
  })
})
