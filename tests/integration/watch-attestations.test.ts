import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Database } from '../../database/open.ts'
import { countMissedAttestations } from '../../database/repositories/attestation-deadlines.ts'
import { ATTESTATION_INTERVAL_MS } from '../../protocol/attestation/intervals.ts'
import { type WatchAttestationsParts, watchAttestations } from '../../workers/jobs/watch-attestations.ts'
import { stored } from '../support/api.ts'
import { attest } from '../support/attestation.ts'
import { enterService, type TestParty } from '../support/rounds.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeTenant } from '../support/tenants.ts'

let service: TestService
let worker: Database
let parts: WatchAttestationsParts
let device: TestParty
let due: number

beforeAll(async () => {
  service = await startTestService()
  worker = service.database.open('qflare_worker')
  parts = { database: worker, writeEvent: service.log.options.writeEvent }
})
afterAll(() => service.close())
beforeEach(async () => {
  device = await enterService(service)
  due = service.time.now + ATTESTATION_INTERVAL_MS
  await service.database.sql.query('update principal set next_attestation_at = null')
  await setDue(device, due)
})

function setDue({ deviceId }: { deviceId: string }, at: number) {
  return service.database.sql.query('update principal set next_attestation_at = $2 where id = $1', [
    deviceId,
    new Date(at),
  ])
}
async function seen({ deviceId } = device) {
  const { rows } = await service.database.sql.query(
    'select attestations_missed as missed, next_attestation_at as next from principal where id = $1',
    [deviceId],
  )
  return { missed: rows[0].missed, next: rows[0].next?.getTime() }
}
const overdueEvents = async ({ deviceId } = device) =>
  (await stored(service, deviceId)).events['device.attestation_overdue'] ?? 0

test('an attestation counts as missed when it is an interval late, and not a millisecond before', async () => {
  await watchAttestations(parts, due + ATTESTATION_INTERVAL_MS - 1)
  expect(await seen()).toEqual({ missed: 0, next: due })
  await watchAttestations(parts, due + ATTESTATION_INTERVAL_MS)
  expect(await seen()).toEqual({ missed: 1, next: due + ATTESTATION_INTERVAL_MS })
  expect(await overdueEvents()).toBe(0)
})

test('two missed in a row are one warning, however often it is looked and however many are missed then', async () => {
  for (let missed = 1; missed <= 4; missed++) {
    const now = due + missed * ATTESTATION_INTERVAL_MS
    for (let again = 0; again < 2; again++) await watchAttestations(parts, now)
    expect((await seen()).missed).toBe(missed)
    expect(await overdueEvents()).toBe(missed < 2 ? 0 : 1)
  }
})

test('an attestation heals it, and the next lapse is told again', async () => {
  for (const missed of [1, 2]) await watchAttestations(parts, due + missed * ATTESTATION_INTERVAL_MS)
  expect((await attest(service, device)).status).toBe(200)
  expect((await seen()).missed).toBe(0)
  await setDue(device, due)
  for (const missed of [1, 2]) await watchAttestations(parts, due + missed * ATTESTATION_INTERVAL_MS)
  expect(await overdueEvents()).toBe(2)
})

test('a service that was away counts one as missed, and gives everybody an interval to attest', async () => {
  const now = due + 40 * ATTESTATION_INTERVAL_MS
  await service.database.sql.query('update session set expires_at = $2 where id = $1', [
    device.sessionId,
    new Date(now + 1),
  ])
  await watchAttestations(parts, now)
  expect(await seen()).toEqual({ missed: 1, next: now })
  await watchAttestations(parts, now + ATTESTATION_INTERVAL_MS - 1)
  expect((await seen()).missed).toBe(1)
})

test('a device without a session that lives has nothing to attest for', async () => {
  const { sql } = service.database
  const [expired, sessionless, suspended] = [device, await enterService(service), await enterService(service)]
  await sql.query('update session set expires_at = $2 where id = $1', [expired.sessionId, new Date(due)])
  await sql.query('update principal set active_session_id = null where id = $1', [sessionless.deviceId])
  await sql.query(`update principal set status = 'SUSPENDED', active_session_id = null where id = $1`, [
    suspended.deviceId,
  ])
  for (const party of [sessionless, suspended]) await setDue(party, due)
  await watchAttestations(parts, due + 3 * ATTESTATION_INTERVAL_MS)
  expect(await seen(expired)).toEqual({ missed: 0, next: undefined })
  for (const party of [sessionless, suspended]) expect(await seen(party)).toEqual({ missed: 0, next: due })
})

test('several at once count each miss once, of every organization, with one warning each', async () => {
  const tenant = await makeTenant(service, 'watched')
  const parties = [device, ...(await Promise.all(Array.from({ length: 5 }, () => enterService(service))))]
  parties.push(await enterService(tenant), await enterService(tenant))
  for (const party of parties) await setDue(party, due)
  for (const missed of [1, 2]) {
    const now = due + missed * ATTESTATION_INTERVAL_MS
    await Promise.all(Array.from({ length: 4 }, () => watchAttestations(parts, now)))
    await watchAttestations(parts, now)
    for (const party of parties) expect((await seen(party)).missed).toBe(missed)
  }
  for (const party of parties) expect(await overdueEvents(party)).toBe(1)
})

test('whoever is attesting is left out, and nobody is waited for', async () => {
  const now = due + ATTESTATION_INTERVAL_MS
  const { sql } = service.database
  await sql.query('begin')
  try {
    await sql.query('select from principal where id = $1 for no key update', [device.deviceId])
    await watchAttestations(parts, now)
    await sql.query('update principal set attestations_missed = 0, next_attestation_at = $2 where id = $1', [
      device.deviceId,
      new Date(now + ATTESTATION_INTERVAL_MS),
    ])
  } finally {
    await sql.query('commit')
  }
  await watchAttestations(parts, now)
  expect(await seen()).toEqual({ missed: 0, next: now + ATTESTATION_INTERVAL_MS })
})

test('another organization’s ids count nothing', async () => {
  const tenant = await makeTenant(service, 'other')
  const counted = await worker.withOrganization(tenant.organizationId, (tx) =>
    countMissedAttestations(tx, [device.deviceId], {
      now: due + ATTESTATION_INTERVAL_MS,
      intervalMs: ATTESTATION_INTERVAL_MS,
    }),
  )
  expect(counted).toEqual({ seen: 0, missed: [] })
})
