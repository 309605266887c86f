import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createLogger } from '../../runtime/logger.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { observeCollateral } from '../../workers/observe-collateral.ts'
import { call } from '../support/api.ts'
import { addCollateral } from '../support/attestation-inputs.ts'
import { type CrlParts, crlWish, CRL_NEXT_UPDATE as END, CRL_THIS_UPDATE as ISSUED } from '../support/crl.ts'
import { derTime } from '../support/der.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeTenant, type Tenant } from '../support/tenants.ts'

const DAY_MS = 86_400_000
const logger = createLogger('silent')
let service: TestService
let tenants: Tenant[]
let now = 0

beforeAll(async () => {
  service = await startTestService({ now: ISSUED + 2 * DAY_MS })
  tenants = [await makeTenant(service, 'one'), await makeTenant(service, 'two')]
})
afterAll(() => service.close())

/** As two worker processes show them, of which neither ran a job. */
function openWorkers() {
  return [1, 2].map(() => {
    const metrics = createMetrics()
    observeCollateral({
      database: service.database.open('qflare_worker', 1),
      clock: { now: () => now },
      metrics,
      logger,
    })
    return async () => {
      const lines = (await metrics.registry.metrics())
        .split('\n')
        .filter((line) => line.startsWith('qflare_collateral'))
      return Object.fromEntries(lines.map((line) => line.replace('qflare_collateral_', '').split(' ')))
    }
  })
}

test('metrics say by kind of all organizations when the first ends, what has ended and how old the oldest is, of now', async () => {
  const [one, two] = tenants as [Tenant, Tenant]
  const issuer = `Authority ${randomUUID()}`
  const crl = (changes: Partial<CrlParts>) => crlWish({ issuer, ...changes })
  const workers = openWorkers()
  const expectMetrics = async (expected: Record<string, number>) => {
    for (const read of workers) {
      const zeros = ['crl', 'android-status-list', 'tdx-tcb-info', 'tdx-qe-identity'].map((kind) => [
        `out_of_date{kind="${kind}"}`,
        '0',
      ])
      const values = Object.entries(expected).map(([name, value]) => [name, String(value)])
      expect(await read()).toEqual(Object.fromEntries([...zeros, ...values]))
    }
  }
  now = ISSUED + 2 * DAY_MS
  await expectMetrics({})

  await addCollateral(one, crl({}))
  await addCollateral(two, crl({ thisUpdate: derTime(ISSUED + DAY_MS), nextUpdate: derTime(END + 10_000) }))
  const list = { kind: 'android-status-list', body: Buffer.from('{"entries":{}}').toString('base64url') }
  await addCollateral(two, { ...list, fetchedAt: ISSUED + DAY_MS })
  now = END - 5_000
  const ages = (seconds: number) => ({
    'age_seconds{kind="crl"}': seconds,
    'age_seconds{kind="android-status-list"}': (now - ISSUED - DAY_MS) / 1_000,
  })
  await expectMetrics({ 'ends_in_seconds{kind="crl"}': 5, ...ages((now - ISSUED) / 1_000) })

  now = END
  const oneEnded = { 'ends_in_seconds{kind="crl"}': 10, 'out_of_date{kind="crl"}': 1 }
  await expectMetrics({ ...oneEnded, ...ages((now - ISSUED) / 1_000) })

  // What is replaced or removed is forgotten, and so is a kind of which nothing is left.
  const newer = crl({ thisUpdate: derTime(ISSUED + 2 * DAY_MS), nextUpdate: derTime(END + DAY_MS) })
  const id = await addCollateral(one, newer)
  await expectMetrics({ 'ends_in_seconds{kind="crl"}': 10, ...ages((now - ISSUED - DAY_MS) / 1_000) })
  for (const { adminToken: token } of tenants) {
    const { items } = (await call(service, 'GET', '/v1/collateral', { token })).body
    for (const item of items) if (item.id !== id) await call(service, 'DELETE', `/v1/collateral/${item.id}`, { token })
  }
  await expectMetrics({
    'ends_in_seconds{kind="crl"}': 86_400,
    'age_seconds{kind="crl"}': (now - ISSUED - 2 * DAY_MS) / 1_000,
  })
  await call(service, 'DELETE', `/v1/collateral/${id}`, { token: one.adminToken })
  await expectMetrics({})
})

test('metrics have no kind that this release does not know', async () => {
  const [one] = tenants as [Tenant]
  const id = await addCollateral(one)
  const { sql } = service.database
  await sql.query('alter table collateral disable trigger user')
  await sql.query(`update collateral set kind = 'one-of-its-own' where id = $1`, [id])
  await sql.query('alter table collateral enable trigger user')
  for (const read of openWorkers()) expect(Object.keys(await read()).join()).not.toContain('one-of-its-own')
})
