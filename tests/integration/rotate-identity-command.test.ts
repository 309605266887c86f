import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createEventWriter } from '../../runtime/audit-events.ts'
import { createLogger } from '../../runtime/logger.ts'
import { flagOldIdentityKeys } from '../../workers/jobs/flag-old-identity-keys.ts'
import { createToken } from '../support/api.ts'
import { runHere } from '../support/run-here.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

let service: TestService
let folder: string
beforeAll(async () => {
  service = await startTestService({ isRealTime: true })
  folder = mkdtempSync(join(tmpdir(), 'qflare-rotate-'))
  writeFileSync(join(folder, 'admin'), service.adminToken, { mode: 0o600 })
})
afterAll(async () => {
  await service.close()
  rmSync(folder, { recursive: true })
})

async function qflare(...args: string[]) {
  const env = {
    QFLARE_URL: service.url,
    QFLARE_ADMIN_TOKEN_FILE: join(folder, 'admin'),
    QFLARE_ENROLLMENT_TOKEN: (await createToken(service)).token,
    QFLARE_STATE: join(folder, 'device.json'),
  }
  return runHere(args, { env })
}

async function json<T>(...args: string[]): Promise<T> {
  const run = await qflare(...args, '--json')
  expect(run, args.join(' ')).toMatchObject({ exitCode: 0 })
  return JSON.parse(run.stdout) as T
}

interface Shown {
  deviceId: string
  identityKey: { kid: string; alg: string }
}

test('the commands show that a key is old, replace it, and show the new one', async () => {
  const device = await json<Shown>('enroll', '--name', 'edge-1')
  await service.database.sql.query(`update identity_key set created_at = now() - interval '2 years'`)
  const parts = { database: service.database.open('qflare_worker'), writeEvent: createEventWriter(crypto) }
  const settings = { logger: createLogger('silent'), identityKeyMaxAgeDays: 365 }
  await flagOldIdentityKeys({ ...parts, ...settings }, Date.now(), async () => {})
  const due = () => json<{ items: { id: string }[] }>('device', 'list', '--rotation-due')
  expect((await due()).items.map(({ id }) => id)).toEqual([device.deviceId])
  expect((await qflare('device', 'show', device.deviceId)).stdout).toMatch(/^key since .*: its rotation is due$/m)

  const rotated = await json<Shown & { replaced: Shown['identityKey'] }>('rotate-identity', '--alg', 'ML-DSA-65')
  expect(rotated).toMatchObject({ deviceId: device.deviceId, replaced: { kid: device.identityKey.kid } })
  expect(rotated.identityKey.alg).toBe('ML-DSA-65')
  expect((await due()).items).toEqual([])
  const shown = (await qflare('device', 'show', device.deviceId)).stdout
  expect(shown).toContain(`ML-DSA-65 ${rotated.identityKey.kid}`)
  expect(shown).not.toContain('due')

  const { stdout } = await qflare('rotate-identity')
  expect(stdout).toMatch(new RegExp(`^in the place of +ML-DSA-65 ${rotated.identityKey.kid}$`, 'm'))
  expect(await json('exchange')).toMatchObject({ deviceId: device.deviceId })
})

test('a rotation shows no seed, and the state keeps none of a key that was replaced', async () => {
  const seedOf = () => JSON.parse(readFileSync(join(folder, 'device.json'), 'utf8')).identity.seed as string
  const old = seedOf()
  const { stdout, stderr } = await qflare('rotate-identity', '--json')
  expect(readFileSync(join(folder, 'device.json'), 'utf8')).not.toContain(old)
  for (const seed of [old, seedOf()]) expect(stdout + stderr).not.toContain(seed)
})
