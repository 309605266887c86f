import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { newId } from '../../runtime/ids.ts'
import { addIncident } from '../support/incidents.ts'
import { refusedAccess, useMonitor } from '../support/monitor.ts'
import { enterService } from '../support/rounds.ts'
import { runHere } from '../support/run-here.ts'
import { makeApiToken } from '../support/tenants.ts'

const monitor = useMonitor()

let folder: string

beforeAll(async () => {
  // Of the same bucket, so that the command's own clock agrees.
  monitor.service.time.now = Date.now()
  folder = mkdtempSync(join(tmpdir(), 'qflare-incidents-'))
  write('admin', monitor.service.adminToken)
  write('operator', (await makeApiToken(monitor.service, ['operator'])).token)
})
afterAll(() => rmSync(folder, { recursive: true }))

function write(name: string, content: string): string {
  writeFileSync(join(folder, name), content, { mode: 0o600 })
  return join(folder, name)
}
const runAs = (token: string, ...args: string[]) =>
  runHere(args, { env: { QFLARE_URL: monitor.service.url, QFLARE_ADMIN_TOKEN_FILE: join(folder, token) } })
const qflare = (...args: string[]) => runAs('admin', 'incidents', ...args)
const json = async (...args: string[]) => JSON.parse((await qflare(...args, '--json')).stdout)

/** A device that asked for what it may not, as often as it takes to be responded to. */
async function respondToOne(response = 'suspend'): Promise<{ deviceId: string; id: string }> {
  const settings = write('respond.json', JSON.stringify({ rules: { 'access-refused': { response } } }))
  expect((await qflare('configure', settings)).exitCode).toBe(0)
  const { deviceId } = await enterService(monitor.service)
  await monitor.watch()
  await monitor.see(() => refusedAccess(monitor.organizationId, deviceId), 5)
  const [incident] = (await json('list', '--device', deviceId)).items
  return { deviceId, id: incident.id }
}

describe('qflare incidents', () => {
  it('says what to type next: how to verify the evidence, how to undo what was done, and it is done by that', async () => {
    const { deviceId, id } = await respondToOne()
    const { stdout } = await qflare('show', id)
    expect(stdout).toMatch(/^rule +access-refused\nmeaning +A caller asks again and again/m)
    expect(stdout).toMatch(/^counted +5, in 5 events that are kept as evidence$/m)
    expect(stdout).toMatch(new RegExp(`^${deviceId} +SUSPENDED +suspend, .* \\(now\\) +\\S`, 'm'))
    const commands = [...stdout.matchAll(/^qflare (.+?) {2,}\S/gm)].map(([, command = '']) => command.split(' '))
    expect(commands.map((words) => words.slice(0, -1).join(' '))).toEqual([
      'audit proof',
      'device resume',
      'incidents acknowledge',
      'incidents resolve',
    ])
    for (const words of commands) {
      const out = words[1] === 'proof' ? ['--out', join(folder, id)] : []
      expect(await runAs('admin', ...words, ...out), words.join(' ')).toMatchObject({ exitCode: 0 })
    }
    const after = await json('show', id)
    expect(after.incident.status).toBe('RESOLVED')
    expect(after.devices).toMatchObject([{ deviceId, status: 'ACTIVE', response: 'suspend' }])
    const again = (await qflare('show', id)).stdout
    expect(again).toMatch(/^acknowledged +.*, by API token [0-9a-f-]{36}\nresolved +.*, by API token [0-9a-f-]{36}$/m)
    expect([...again.matchAll(/^qflare (\S+ \S+)/gm)].map(([, command]) => command)).toEqual(['audit proof'])
  })

  it('says how a device is restricted, and how that ends', async () => {
    for (const [response, row] of [
      ['slow', /^slowed +until .*$/m],
      ['require_attestation', /^has to attest +since .*$/m],
    ] as const) {
      const { deviceId, id } = await respondToOne(response)
      expect((await runAs('operator', 'device', 'show', deviceId)).stdout).toMatch(row)
      const { stdout } = await qflare('show', id)
      expect(stdout).toMatch(new RegExp(`^qflare device lift-restrictions ${deviceId} +undo it`, 'm'))
      const lifted = await runAs('operator', 'device', 'lift-restrictions', deviceId)
      expect(lifted).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/ is ACTIVE\.$/) })
      expect((await runAs('operator', 'device', 'show', deviceId)).stdout).not.toMatch(row)
    }
  })

  it('lists with whatever filters, in a table or as JSON', async () => {
    const device = newId()
    const ids = [
      await addIncident(monitor.service, {
        organizationId: NIL_UUID,
        rule: 'log-differs',
        subject: 'audit log',
        severity: 'critical',
      }),
      await addIncident(monitor.service, { status: 'RESOLVED', devices: [device] }),
      await addIncident(monitor.service),
    ]
    const [ofService, resolved, open] = ids
    const { stdout } = await qflare('list')
    expect(stdout.split('\n').map((line) => line.split(/ {2,}/).slice(0, 7))).toEqual([
      ['ID', 'SEVERITY', 'STATUS', 'RULE', 'COUNT', 'DEVICES', 'OPENED'],
      [open, 'warning', 'OPEN', 'access-refused', '5', '0', 'now'],
      [resolved, 'warning', 'RESOLVED', 'access-refused', '5', '1', 'now'],
      [ofService, 'critical', 'OPEN', 'log-differs', '5', '0', 'now'],
    ])
    const idsOf = async (...args: string[]) => (await json('list', ...args)).items.map(({ id }: { id: string }) => id)
    expect(await idsOf('--status', 'open')).toEqual([open, ofService])
    expect(await idsOf('--severity', 'critical', '--rule', 'log-differs')).toEqual([ofService])
    expect(await idsOf('--device', device)).toEqual([resolved])
    expect((await qflare('list', '--device', newId())).stdout).toBe('There are no such incidents.')
    expect((await qflare('show', ofService as string)).stdout).toMatch(/^of +the service itself$/m)
    expect((await qflare('list', '--rule', 'none')).exitCode).toBe(2)
  })

  it('shows the first events and devices of a large one, and all when asked', async () => {
    const devices = Array.from({ length: 23 }, () => newId()).toSorted()
    const id = await addIncident(monitor.service, { devices })
    const { stdout } = await qflare('show', id)
    expect(stdout).toContain(devices[19])
    expect(stdout).not.toContain(devices[20])
    expect(stdout).toContain('There are 3 more: --all shows them.')
    expect((await json('show', id)).more).toBe(true)
    expect((await qflare('show', id, '--all')).stdout).toContain(devices[22])
    const { incident, more, devices: shown } = await json('show', id, '--all')
    expect([incident.id, more, shown.length]).toEqual([id, false, 23])
  })

  it('refuses to look again at what is over, and names nothing that is not there', async () => {
    const id = await addIncident(monitor.service)
    for (const _ of [1, 2]) expect((await qflare('resolve', id)).stdout).toBe(`${id} is RESOLVED.`)
    const refused = await qflare('acknowledge', id)
    expect(refused).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('session_state') })
    const none = await qflare('show', newId())
    expect(none).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('not_found') })
    expect((await qflare('show', 'nothing')).exitCode).toBe(2)
  })

  it('shows the rules as they hold, and an admin changes them by a file', async () => {
    expect((await qflare('settings')).stdout).toMatch(/^changed +never\ndry run +no\ndevices responded to +5 an hour/)
    const file = write(
      'monitor.json',
      '{"dryRun":true,"rules":{"access-refused":{"threshold":7,"windowSeconds":7200,"response":"suspend"},"log-differs":{"enabled":false}}}',
    )
    const operator = await runAs('operator', 'incidents', 'configure', file)
    expect(operator).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('forbidden') })
    const { stdout } = await qflare('configure', file)
    expect(stdout).toMatch(/^changed +.* \(now\)\ndry run +yes: /)
    expect(stdout).toMatch(/^access-refused +yes +7 +2 h +warning +suspend +A caller/m)
    expect(stdout).toMatch(/^log-differs +NO +1 +60 min +critical +never +The audit log/m)
    expect(stdout).toMatch(/^confirmations-failed +yes +3 +10 min +warning +never +Sessions/m)
    expect((await runAs('operator', 'incidents', 'settings')).stdout).toBe(stdout)
    // What it shows as JSON is what it takes.
    const shown = await json('settings')
    const again = await qflare('configure', write('again.json', JSON.stringify(shown.settings)), '--json')
    expect(JSON.parse(again.stdout)).toEqual(shown)

    const bad = await qflare('configure', write('bad.json', '{"rules":{"device-impersonated":{"response":"suspend"}}}'))
    expect(bad).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('Anybody on the network can cause') })
    expect((await qflare('configure', write('none.json', '7'))).exitCode).toBe(4)
    expect((await qflare('configure', join(folder, 'nowhere'))).exitCode).toBe(4)
  })

  it('lists the devices that look worst', async () => {
    expect((await qflare('threats')).stdout).toBe('No device has a threat score.')
    const { deviceId } = await respondToOne()
    const { stdout } = await qflare('threats', '--limit', '3')
    expect(stdout).toMatch(new RegExp(`^DEVICE +SCORE .*\n${deviceId} +(49|50) +SUSPENDED +now +\\S`))
    expect((await json('threats')).items).toMatchObject([{ deviceId, status: 'SUSPENDED' }])
  })
})
