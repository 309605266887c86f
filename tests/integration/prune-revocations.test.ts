import { afterAll, beforeAll, expect, test } from 'vitest'
import { pruneRevocations } from '../../workers/jobs/prune-revocations.ts'
import { call, enrollTestDevice } from '../support/api.ts'
import { firstOrganization } from '../support/audit.ts'
import { listen } from '../support/revocation-listener.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeTenant } from '../support/tenants.ts'

const DAY_MS = 86_400_000
let service: TestService

beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.close())

test('news go when they are older than the retention, of every organization; whoever is barred is told of all the same', async () => {
  const tenant = await makeTenant(service, 'other')
  const parts = { database: service.database.open('qflare_worker'), retentionDays: 7 }
  const at = service.time.now
  const device = await enrollTestDevice(service)
  const foreign = await enrollTestDevice(tenant)
  for (const [by, { deviceId }] of [
    [service, device],
    [tenant, foreign],
  ] as const) {
    await call(by, 'POST', `/v1/devices/${deviceId}/suspend`, { token: by.adminToken, body: {} })
  }
  const { sql } = service.database
  await sql.query(`insert into revocation select $1, i, $2, 'SUSPENDED', $3 from generate_series(2, 2500) as i`, [
    await firstOrganization(service),
    device.deviceId,
    new Date(at + 1),
  ])
  await sql.query('update revocation_feed set last_sequence = 2500 where organization_id = $1', [
    await firstOrganization(service),
  ])
  expect(await pruneRevocations(parts, at + 7 * DAY_MS)).toBe(0)
  expect(await pruneRevocations(parts, at + 7 * DAY_MS + 1)).toBe(2)
  const [one, two] = await Promise.all([1, 2].map(() => pruneRevocations(parts, at + 8 * DAY_MS)))
  expect((one ?? 0) + (two ?? 0)).toBe(2_499)
  expect((await sql.query('select count(*) as left from revocation')).rows).toEqual([{ left: '0' }])
  for (const query of ['', '?after=1']) {
    const listener = await listen(service, service.adminToken, { query })
    const [snapshot] = await listener.until('snapshot')
    expect(snapshot).toMatchObject({ id: '2500', data: { devices: [{ deviceId: device.deviceId }] } })
    await listener.close()
  }
})
