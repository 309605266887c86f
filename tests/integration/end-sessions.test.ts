import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Database } from '../../database/open.ts'
import { PENDING_MS, SESSION_MS, SUPERSEDED_MS } from '../../protocol/exchange/session-states.ts'
import { type EndSessionsParts, endSessions } from '../../workers/jobs/end-sessions.ts'
import { call, confirm, enrollTestDevice, establish, openExchange, stored, type TestDevice } from '../support/api.ts'
import { seedSessions } from '../support/seed-sessions.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeTenant } from '../support/tenants.ts'

let service: TestService
let worker: Database
let parts: EndSessionsParts
let device: TestDevice
/** When each test begins; what earlier tests made is over by then. */
let begin: number

beforeAll(async () => {
  service = await startTestService()
  worker = service.database.open('qflare_worker')
  parts = { database: worker, writeEvent: service.log.options.writeEvent }
})
afterAll(() => service.close())
beforeEach(async () => {
  service.time.now += 2 * SESSION_MS
  begin = service.time.now
  await service.tick()
  await endSessions(parts, begin)
  device = await enrollTestDevice(service)
})

const none = { TIMED_OUT: 0, EXPIRED: 0, CLOSED: 0 }
const endAt = (now: number) => endSessions(parts, now)
const statesOf = async (of = device) => (await stored(service, of.deviceId)).sessions.map(({ state }) => state)

async function namedBy({ deviceId }: TestDevice): Promise<{ active: string | null; pending: string[] }> {
  const { rows } = await service.database.sql.query(
    'select active_session_id as active, pending_session_ids as pending from principal where id = $1',
    [deviceId],
  )
  return rows[0]
}

test('a session that nobody confirmed is TIMED_OUT after 60 s, and not a millisecond before', async () => {
  await openExchange(service, device)
  expect(await endAt(begin + PENDING_MS - 1)).toEqual(none)
  expect(await endAt(begin + PENDING_MS)).toEqual({ ...none, TIMED_OUT: 1 })
  expect(await stored(service, device.deviceId)).toMatchObject({
    sessions: [{ state: 'TIMED_OUT', has_keys: false }],
    events: { 'session.timed_out': 1 },
  })
  expect(await namedBy(device)).toEqual({ active: null, pending: [] })
})

test('an ACTIVE session is EXPIRED at its end, and its device names it no more', async () => {
  const { sessionId } = await establish(service, device)
  expect(await endAt(begin + SESSION_MS - 1)).toEqual(none)
  expect(await namedBy(device)).toEqual({ active: sessionId, pending: [] })
  expect(await endAt(begin + SESSION_MS)).toEqual({ ...none, EXPIRED: 1 })
  expect(await stored(service, device.deviceId)).toMatchObject({
    sessions: [{ state: 'EXPIRED', has_keys: false }],
    events: { 'session.expired': 1 },
  })
  expect(await namedBy(device)).toEqual({ active: null, pending: [] })
})

test('a SUPERSEDED session is CLOSED after its grace, and the newer one stays what it is', async () => {
  await establish(service, device)
  service.time.now += 1
  const { sessionId } = await establish(service, device)
  expect(await endAt(begin + SUPERSEDED_MS)).toEqual(none)
  expect(await endAt(begin + 1 + SUPERSEDED_MS)).toEqual({ ...none, CLOSED: 1 })
  expect(await statesOf()).toEqual(['CLOSED', 'ACTIVE'])
  expect(await namedBy(device)).toEqual({ active: sessionId, pending: [] })
})

test('a SUPERSEDED session that ends within its grace is EXPIRED', async () => {
  await establish(service, device)
  service.time.now += SESSION_MS - 30_000
  await service.tick()
  await establish(service, device)
  expect(await endAt(begin + SESSION_MS)).toEqual({ ...none, EXPIRED: 1 })
  expect(await statesOf()).toEqual(['EXPIRED', 'ACTIVE'])
})

test('of two pending sessions the older ends, and the younger stays pending', async () => {
  await openExchange(service, device)
  service.time.now += 10
  const younger = await openExchange(service, device)
  await endAt(begin + PENDING_MS)
  expect(await statesOf()).toEqual(['TIMED_OUT', 'PENDING'])
  expect(await namedBy(device)).toEqual({ active: null, pending: [younger.sessionId] })
  expect((await confirm(service, device, younger)).status).toBe(200)
})

test('what the API says of a session is the same before and after it is written down', async () => {
  const { sessionId } = await establish(service, device)
  service.time.now += SESSION_MS
  const stateOf = async () =>
    (await call(service, 'GET', `/v1/sessions/${sessionId}`, { token: service.adminToken })).body
  const before = await stateOf()
  expect(before.state).toBe('EXPIRED')
  await endAt(service.time.now)
  expect(await stateOf()).toEqual(before)
})

test('the device of a session that ended exchanges again as if nothing had been written', async () => {
  await establish(service, device)
  service.time.now += SESSION_MS
  await service.tick()
  await openExchange(service, device)
  await endAt(service.time.now + PENDING_MS)
  expect(await statesOf()).toEqual(['EXPIRED', 'TIMED_OUT'])
  expect((await establish(service, device)).accessToken).toMatch(/^qs_/)
})

test('the second run, and two workers at once, end each session once', async () => {
  await seedSessions(service, { sessions: 600, state: 'ACTIVE', createdAt: begin })
  const other = { ...parts, database: service.database.open('qflare_worker') }
  const now = begin + SESSION_MS
  const [a, b] = await Promise.all([endSessions(parts, now), endSessions(other, now)])
  const again = await endAt(now)
  expect(a.EXPIRED + b.EXPIRED + again.EXPIRED).toBe(600)
  expect(await endAt(now)).toEqual(none)
  const { rows } = await service.database.sql.query(
    `select count(*)::int, count(distinct entry::jsonb -> 'subject' ->> 'sessionId')::int as sessions from audit_outbox
      where entry::jsonb ->> 'type' = 'session.expired' and (entry::jsonb ->> 'at')::bigint = $1`,
    [now],
  )
  expect(rows).toEqual([{ count: 600, sessions: 600 }])
})

test('a run that is stopped has ended some, and the next one ends the rest', async () => {
  await seedSessions(service, { sessions: 600, state: 'PENDING', createdAt: begin })
  const now = begin + PENDING_MS
  const steps: [number, number][] = []
  const stopping = endSessions(parts, now, async (done, total) => {
    steps.push([done, total])
    throw new Error('the process is stopping')
  })
  await expect(stopping).rejects.toThrow('the process is stopping')
  expect(steps).toEqual([[0, 1]])
  const { TIMED_OUT } = await endAt(now)
  expect(TIMED_OUT).toBeGreaterThan(0)
  expect(TIMED_OUT).toBeLessThan(600)
})

test('each event is of the organization of its session, and the service did it', async () => {
  const other = await makeTenant(service, `tenant ${begin}`)
  const theirs = await enrollTestDevice({ ...service, adminToken: other.adminToken })
  const [a, b] = [await establish(service, device), await establish(service, theirs)]
  await endAt(begin + SESSION_MS)
  const { rows } = await service.database.sql.query<{ organization_id: string; id: string; actor: string }>(
    `select o.organization_id, s.id, o.entry::jsonb -> 'actor' ->> 'type' as actor from audit_outbox o
      join session s on s.id::text = o.entry::jsonb -> 'subject' ->> 'sessionId' and s.organization_id = o.organization_id
      where o.entry::jsonb ->> 'type' = 'session.expired' and s.id = any ($1)`,
    [[a.sessionId, b.sessionId]],
  )
  expect(new Map(rows.map(({ id, organization_id }) => [id, organization_id])).get(b.sessionId)).toBe(
    other.organizationId,
  )
  expect(rows.map(({ actor }) => actor)).toEqual(['service', 'service'])
})

test('a session whose event cannot be stored is not ended', async () => {
  await establish(service, device)
  const { sql } = service.database
  await sql.query('revoke insert on audit_outbox from qflare_worker')
  try {
    await expect(endAt(begin + SESSION_MS)).rejects.toMatchObject({ code: 'event_refused' })
  } finally {
    await sql.query('grant insert on audit_outbox to qflare_worker')
  }
  expect(await stored(service, device.deviceId)).toMatchObject({ sessions: [{ state: 'ACTIVE', has_keys: true }] })
  expect((await namedBy(device)).active).not.toBe(null)
})

describe('meanwhile', () => {
  test('who is in the middle of an exchange is not waited for, and is left to the next run', async () => {
    const busy = await enrollTestDevice(service)
    await establish(service, device)
    await establish(service, busy)
    const { sql } = service.database
    await sql.query('begin')
    await sql.query('select from principal where id = $1 for update', [busy.deviceId])
    expect(await endAt(begin + SESSION_MS)).toEqual({ ...none, EXPIRED: 1 })
    await sql.query('rollback')
    expect(await statesOf(busy)).toEqual(['ACTIVE'])
    expect(await endAt(begin + SESSION_MS)).toEqual({ ...none, EXPIRED: 1 })
  })

  test('of a confirmation and the end of its time in the same moment exactly one is true', async () => {
    const devices = await Promise.all(Array.from({ length: 12 }, () => enrollTestDevice(service)))
    const opened = await Promise.all(devices.map((one) => openExchange(service, one)))
    service.time.now += PENDING_MS - 1
    const ending = (async () => {
      for (let run = 0; run < 6; run++) await endAt(begin + PENDING_MS)
    })()
    const answers = await Promise.all(
      devices.map((one, i) => confirm(service, one, opened[i] as Awaited<ReturnType<typeof openExchange>>)),
    )
    await ending
    for (const [i, one] of devices.entries()) {
      const isConfirmed = answers[i]?.status === 200
      const { sessions, events } = await stored(service, one.deviceId)
      expect(sessions).toMatchObject([{ state: isConfirmed ? 'ACTIVE' : 'TIMED_OUT', has_keys: isConfirmed }])
      expect([events['session.established'], events['session.timed_out']]).toEqual(
        isConfirmed ? [1, undefined] : [undefined, 1],
      )
      expect((await namedBy(one)).active).toBe(isConfirmed ? opened[i]?.sessionId : null)
    }
  })
})

test('with every epoch key stands how many sessions hold a chain under it', async () => {
  await establish(service, device)
  await endAt(begin + 1_000)
  const { rows } = await service.database.sql.query(
    `select k.sessions::int as sessions, (select count(*)::int from session s
          where s.chains is not null and k.number between s.bucket and s.last_epoch) as counted, counted_at
      from temporal_key k where kind = 'epoch' and destroyed_at is null`,
  )
  expect(rows.length).toBeGreaterThan(15)
  expect(rows.map(({ sessions }) => sessions)).toEqual(rows.map(({ counted }) => counted))
  expect(rows.filter(({ sessions }) => sessions > 0)).toHaveLength(13)
  expect(rows.every(({ counted_at }) => counted_at.getTime() === begin + 1_000)).toBe(true)
})
