import { afterAll, beforeAll, expect, test } from 'vitest'
import { BUCKET_MS } from '../../protocol/exchange/bucket.ts'
import { createLogger } from '../../runtime/logger.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { observeDevices } from '../../server/observe-devices.ts'
import { observeKeys } from '../../workers/observe-keys.ts'
import { observeSessions } from '../../workers/observe-sessions.ts'
import { enrollTestDevice, establish, openExchange } from '../support/api.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeTenant } from '../support/tenants.ts'

const logger = createLogger('silent')
let service: TestService

beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.close())

/** As processes show it that have just begun. */
async function readMetrics(pattern: RegExp): Promise<Record<string, number>> {
  const metrics = createMetrics()
  const worker = service.database.open('qflare_worker', 1)
  const clock = { now: () => service.time.now }
  observeKeys({ database: worker, clock, metrics, logger })
  observeSessions({ database: worker, metrics, logger })
  observeDevices({ database: service.database.open('qflare_api', 1), metrics, logger })
  const lines = (await metrics.registry.metrics()).split('\n').filter((line) => pattern.test(line))
  return Object.fromEntries(lines.map((line) => line.replace('qflare_', '').split(' ')).map(([k, v]) => [k, Number(v)]))
}

test('metrics count the sessions and devices of all organizations by what they are, and coordinators for no devices', async () => {
  const other = await makeTenant(service, 'other')
  const device = await enrollTestDevice(service)
  await establish(service, device)
  await establish(service, device)
  await openExchange(service, await enrollTestDevice(other))
  const held = await enrollTestDevice(other)
  await enrollTestDevice(service, { kind: 'coordinator' })
  await service.database.sql.query(`update principal set status = 'SUSPENDED' where id = $1`, [held.deviceId])
  expect(await readMetrics(/^qflare_(sessions|devices)/)).toEqual({
    'sessions{state="PENDING"}': 1,
    'sessions{state="ACTIVE"}': 1,
    'sessions{state="SUPERSEDED"}': 1,
    'devices{status="PENDING"}': 0,
    'devices{status="ACTIVE"}': 2,
    'devices{status="QUARANTINED"}': 0,
    'devices{status="SUSPENDED"}': 1,
    'devices{status="REVOKED"}': 0,
  })
})

test('metrics say for how long there are temporal keys, when the bucket of now has none, and which should be gone', async () => {
  const keys = () => readMetrics(/^qflare_(temporal_keys|bucket_rollover)/)
  // Half of a bucket is over.
  expect(await keys()).toEqual({
    'temporal_keys{state="epoch"}': 16,
    'temporal_keys{state="bucket"}': 2,
    'temporal_keys_ahead_seconds{state="epoch"}': 15.5 * 300,
    'temporal_keys_ahead_seconds{state="bucket"}': 450,
    bucket_rollover_lag_seconds: 0,
    temporal_keys_overdue_seconds: 0,
  })
  service.time.now += 2 * BUCKET_MS
  expect(await keys()).toMatchObject({
    'temporal_keys_ahead_seconds{state="bucket"}': 0,
    bucket_rollover_lag_seconds: 150,
    temporal_keys_overdue_seconds: 390,
  })
  await service.tick()
  expect(await keys()).toMatchObject({
    'temporal_keys_ahead_seconds{state="bucket"}': 450,
    bucket_rollover_lag_seconds: 0,
    temporal_keys_overdue_seconds: 0,
  })
})
