import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { enrollTestDevice, type TestDevice } from '../support/api.ts'
import { qflareMain } from '../support/command-suite.ts'
import { runHere } from '../support/run-here.ts'
import { startTestService, type TestService } from '../support/service.ts'

let service: TestService
let device: TestDevice
let env: Record<string, string>
const folder = mkdtempSync(join(tmpdir(), 'qflare-watch-'))

beforeAll(async () => {
  service = await startTestService()
  device = await enrollTestDevice(service)
  writeFileSync(join(folder, 'admin-token'), service.adminToken, { mode: 0o600 })
  env = { QFLARE_URL: service.url, QFLARE_DATA_DIR: folder }
})
afterAll(async () => {
  await service.close()
  rmSync(folder, { recursive: true })
})

const setQuarantined = () =>
  service.database.sql.query(`update principal set status = 'QUARANTINED' where id = $1`, [device.deviceId])

test('qflare device clear-quarantine lets a device back, asks nobody, and says what it is', async () => {
  await setQuarantined()
  const run = await runHere(['device', 'clear-quarantine', device.deviceId], { env })
  expect(run).toMatchObject({ exitCode: 0, stdout: expect.stringContaining(`(${device.deviceId}) is ACTIVE.`) })
})

test('qflare federation watch prints who is barred and each change, as lines or as JSON, until Ctrl-C, which is 0', async () => {
  await setQuarantined()
  const watching = [[], ['--json']].map((flags) => {
    const args = [qflareMain, 'federation', 'watch', ...flags]
    const child = spawn(process.execPath, args, { env: { PATH: process.env['PATH'] ?? '', ...env } })
    onTestFinished(() => void child.kill('SIGKILL'))
    const said = { child, stdout: '' }
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text))
    return said
  })
  const lines = () => watching.map(({ stdout }) => stdout.split('\n').slice(0, -1))
  await expect.poll(() => lines().map(({ length }) => length), { timeout: 20_000 }).toEqual([1, 1])
  await runHere(['device', 'clear-quarantine', device.deviceId], { env })
  await expect.poll(() => lines().map(({ length }) => length), { timeout: 10_000 }).toEqual([2, 2])
  const [plain, json] = lines()
  expect(plain?.[0]).toBe(`${device.deviceId}  QUARANTINED`)
  expect(plain?.[1]).toMatch(new RegExp(`^${device.deviceId}  ACTIVE       \\S`))
  expect(json?.map((line) => JSON.parse(line))).toEqual([
    { type: 'snapshot', devices: [{ deviceId: device.deviceId, status: 'QUARANTINED' }] },
    { type: 'change', deviceId: device.deviceId, status: 'ACTIVE', changedAt: service.time.now },
  ])
  for (const { child } of watching) {
    child.kill('SIGINT')
    expect(await once(child, 'close')).toEqual([0, null])
  }
})
