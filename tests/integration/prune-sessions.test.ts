import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Database } from '../../database/open.ts'
import { dropSessionPartition, listSessionDays } from '../../database/repositories/session-ends.ts'
import { BUCKET_MS } from '../../protocol/exchange/bucket.ts'
import { SESSION_MS } from '../../protocol/exchange/session-states.ts'
import { endSessions } from '../../workers/jobs/end-sessions.ts'
import { type PruneSessionsParts, pruneSessions } from '../../workers/jobs/prune-sessions.ts'
import { call, enrollTestDevice, establish, initiate, refusal, sendExchange } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import { seedSessions } from '../support/seed-sessions.ts'
import { startTestService, type TestService } from '../support/service.ts'

const DAY_MS = 86_400_000
/** Days that are over, with the last bucket of the first of them. */
const days = ['2021-03-04', '2021-03-05']
const lastBucket = Date.parse('2021-03-05') - BUCKET_MS
/** When the last session that is possible in that bucket is over, and to spare (drop_session_partition). */
const ended = Date.parse('2021-03-05') + 2 * 3_600_000

let service: TestService
let worker: Database
let parts: PruneSessionsParts

beforeAll(async () => {
  service = await startTestService()
  worker = service.database.open('qflare_worker')
  parts = { database: worker, writeEvent: service.log.options.writeEvent, retentionDays: 7 }
})
afterAll(() => service.close())
beforeEach(async () => {
  const { sql } = service.database
  for (const day of days) {
    await sql.query(`drop table if exists session_${day.replaceAll('-', '')}`)
    await sql.query(`select make_session_partition($1)`, [day])
  }
  await sql.query('truncate audit_outbox')
})

const daysLeft = async () =>
  (await worker.withoutOrganization(listSessionDays)).filter((day) => day.startsWith('2021-'))
const drop = (day: string, endedBefore: number) =>
  worker.withoutOrganization((tx) => dropSessionPartition(tx, day, endedBefore))

async function prunedEvents(): Promise<unknown[]> {
  const { rows } = await service.database.sql.query(`select entry::jsonb -> 'data' as data from audit_outbox
    where entry::jsonb ->> 'type' = 'sessions.pruned' order by seq`)
  return rows.map(({ data }) => data)
}

test('a day goes as a whole when its last session ended longer ago than the retention, and not a millisecond before', async () => {
  await seedSessions(service, { sessions: 40, state: 'ACTIVE', createdAt: lastBucket })
  await endSessions(parts, lastBucket + SESSION_MS)
  const due = ended + 7 * DAY_MS
  expect(await pruneSessions(parts, due - 1)).toEqual([])
  expect(await daysLeft()).toEqual(days)
  expect(await pruneSessions(parts, due)).toEqual([{ day: '2021-03-04', sessions: 40 }])
  expect(await daysLeft()).toEqual(['2021-03-05'])
  expect(await prunedEvents()).toEqual([{ day: '2021-03-04', sessions: 40 }])
})

test('the second run, and two workers at once, drop a day once', async () => {
  const now = ended + 8 * DAY_MS
  const other = { ...parts, database: service.database.open('qflare_worker') }
  const runs = await Promise.all([pruneSessions(parts, now), pruneSessions(other, now)])
  expect(runs.flat().toSorted((a, b) => a.day.localeCompare(b.day))).toEqual(days.map((day) => ({ day, sessions: 0 })))
  expect(await pruneSessions(parts, now)).toEqual([])
  expect(await prunedEvents()).toHaveLength(2)
})

test('a day with a session that holds key material stays, with all of it', async () => {
  await seedSessions(service, { sessions: 3, state: 'ACTIVE', createdAt: lastBucket })
  await expect(pruneSessions(parts, ended + 8 * DAY_MS)).rejects.toThrow(
    '3 sessions of 2021-03-04 still hold key material',
  )
  expect(await daysLeft()).toEqual(days)
  await endSessions(parts, lastBucket + SESSION_MS)
  expect(await pruneSessions(parts, ended + 8 * DAY_MS)).toContainEqual({ day: '2021-03-04', sessions: 3 })
})

test('a day whose event cannot be stored stays', async () => {
  const { sql } = service.database
  await sql.query('revoke insert on audit_outbox from qflare_worker')
  try {
    await expect(pruneSessions(parts, ended + 8 * DAY_MS)).rejects.toMatchObject({ code: 'event_refused' })
  } finally {
    await sql.query('grant insert on audit_outbox to qflare_worker')
  }
  expect(await daysLeft()).toEqual(days)
})

test('PostgreSQL refuses a day that is younger, whatever the job says', async () => {
  const refused = { code: 'QF003' }
  await expect(drop('2021-03-04', ended - 1)).rejects.toMatchObject(refused)
  const today = new Date().toISOString().slice(0, 10)
  for (const endedBefore of [Date.now(), Date.now() - DAY_MS + 60_000, Date.now() + 30 * DAY_MS]) {
    await expect(drop('2021-03-04', endedBefore)).rejects.toMatchObject(refused)
    await expect(drop(today, endedBefore)).rejects.toMatchObject(refused)
  }
  await expect(drop(today, Date.now() - DAY_MS - 60_000)).rejects.toMatchObject(refused)
  expect(await daysLeft()).toEqual(days)
})

test('a day without a partition is none to drop', async () => {
  expect(await drop('2019-01-01', ended)).toBe(undefined)
})

test('who exchanges is not made to wait behind a drop that has to wait itself', async () => {
  const { sql } = service.database
  await sql.query('begin')
  await sql.query('lock table session in access share mode')
  try {
    await expect(pruneSessions(parts, ended + 8 * DAY_MS)).rejects.toMatchObject({ code: '55P03' })
  } finally {
    await sql.query('rollback')
  }
  expect(await daysLeft()).toEqual(days)
  expect(await pruneSessions(parts, ended + 8 * DAY_MS)).toHaveLength(2)
})

test('a session that was dropped is not found, and its message is refused for its bucket before anybody looks for it', async () => {
  const device = await enrollTestDevice(service)
  const initiated = await initiate(service, device)
  expect((await sendExchange(service, initiated.wire)).status).toBe(201)
  await establish(service, device)
  const { sql } = service.database
  const { rows } = await sql.query<{ id: string }>('select id from session where principal_id = $1', [device.deviceId])
  service.time.now += 10 * DAY_MS
  await service.tick()
  await endSessions(parts, service.time.now)
  for (const day of await worker.withoutOrganization(listSessionDays)) {
    if (Date.parse(day) < service.time.now - 8 * DAY_MS) {
      await sql.query(`drop table session_${day.replaceAll('-', '')}`)
    }
  }
  for (const id of [...rows.map((row) => row.id), randomUUID()]) {
    expectRefusal(await call(service, 'GET', `/v1/sessions/${id}`, { token: service.adminToken }), 404, 'not_found')
    const confirmation = { deviceId: device.deviceId, confirmation: 'A'.repeat(86) }
    expectRefusal(await call(service, 'POST', `/v1/exchanges/${id}/confirm`, { body: confirmation }), 404, 'not_found')
  }
  expect(refusal(await sendExchange(service, initiated.wire))).toEqual({ status: 409, code: 'bucket_out_of_window' })
  expect((await establish(service, device)).accessToken).toMatch(/^qs_/)
})
