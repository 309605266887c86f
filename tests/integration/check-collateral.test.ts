import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Database } from '../../database/open.ts'
import { noteCollateralAlarms } from '../../database/repositories/collateral-alarms.ts'
import { type CheckCollateralParts, checkCollateral } from '../../workers/jobs/check-collateral.ts'
import { call } from '../support/api.ts'
import { addCollateral } from '../support/attestation-inputs.ts'
import { type CrlParts, crlWish, CRL_NEXT_UPDATE as END, CRL_THIS_UPDATE as ISSUED } from '../support/crl.ts'
import { derTime } from '../support/der.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { eventsOf, makeTenant, type Tenant } from '../support/tenants.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Of a list that lives for 30 days, at the setting of 72 hours. */
const WARNED = END - 72 * HOUR_MS

let service: TestService
let worker: Database
let parts: CheckCollateralParts
let tenant: Tenant
let issuer: string

beforeAll(async () => {
  service = await startTestService({ now: ISSUED + 2 * DAY_MS })
  worker = service.database.open('qflare_worker', 4)
  parts = { database: worker, writeEvent: service.log.options.writeEvent, collateralWarningHours: 72 }
})
afterAll(() => service.close())
beforeEach(async () => {
  await service.database.sql.query('update collateral set removed_at = created_at where removed_at is null')
  tenant = await makeTenant(service, randomUUID())
  issuer = `Authority ${randomUUID()}`
})

const wish = (changes: Partial<CrlParts> = {}) => crlWish({ issuer, ...changes })
const livesFor = (ms: number) => wish({ nextUpdate: derTime(ISSUED + ms) })
const check = (now: number, changes: Partial<CheckCollateralParts> = {}) =>
  checkCollateral({ ...parts, ...changes }, now)
const note = (of: Tenant, id: string, now: number, database = worker) =>
  database.withOrganization(of.organizationId, (tx) =>
    noteCollateralAlarms(tx, [id], { now, warningSeconds: 72 * 3_600 }),
  )

/** What was told of an organization: `ending` or `ended`, and of which collateral. */
async function told(of = tenant): Promise<[string, string | undefined][]> {
  const events = (await eventsOf(service, of.organizationId)).filter(({ type }) => type.startsWith('collateral.end'))
  return events.map(({ type, subject }) => [type.replace('collateral.', ''), subject.collateralId])
}

describe('collateral that ends', () => {
  test('is told of once before it ends and once when it has, however often it is looked, and not a millisecond early', async () => {
    const id = await addCollateral(tenant, wish())
    expect(await note(tenant, id, WARNED - 1)).toEqual([])
    const steps = [
      [WARNED - 1, []],
      [WARNED, [['ending', id]]],
      [END - 1, [['ending', id]]],
      [
        END,
        [
          ['ending', id],
          ['ended', id],
        ],
      ],
      [
        END + 400 * DAY_MS,
        [
          ['ending', id],
          ['ended', id],
        ],
      ],
    ] as const
    for (const [now, expected] of steps) {
      for (let again = 0; again < 2; again++) await check(now)
      expect(await told(), String(now)).toEqual(expected)
    }
  })

  test('is told of with what it is and when it ends, by the service', async () => {
    const id = await addCollateral(tenant, { ...wish(), name: 'the list' })
    await check(WARNED)
    const [event] = await eventsOf(service, tenant.organizationId, 'collateral.ending')
    const lookupId = expect.stringMatching(/^crl:/)
    expect(event).toMatchObject({ actor: { type: 'service' }, severity: 'warning', subject: { collateralId: id } })
    expect(event?.data).toEqual({ kind: 'crl', lookupId, name: 'the list', issuedAt: ISSUED, nextUpdateAt: END })
  })

  test.each([
    [4 * DAY_MS, 72, DAY_MS],
    [12 * DAY_MS, 72, 72 * HOUR_MS],
    [13 * DAY_MS, 72, 72 * HOUR_MS],
    [300 * DAY_MS, 8_760, 75 * DAY_MS],
    [20 * DAY_MS, 1, HOUR_MS],
  ])(
    'of a life of %i ms is told of, at a setting of %i hours, %i ms before: never before its last quarter',
    async (life, collateralWarningHours, before) => {
      await addCollateral(tenant, livesFor(life))
      const setting = { collateralWarningHours }
      expect(await check(ISSUED + life - before - 1, setting)).toEqual({ ending: 0, ended: 0 })
      expect(await check(ISSUED + life - before, setting)).toEqual({ ending: 1, ended: 0 })
    },
  )

  test('is told of when it has ended and not before at a setting of 0, as is what has ended when it is first seen', async () => {
    const id = await addCollateral(tenant, wish())
    expect(await check(END - 1, { collateralWarningHours: 0 })).toEqual({ ending: 0, ended: 0 })
    expect(await check(END)).toEqual({ ending: 0, ended: 1 })
    expect(await told()).toEqual([['ended', id]])
  })

  test('is told of no more when a newer one took its place, which is told of in its own time', async () => {
    await addCollateral(tenant, wish())
    const newer = await addCollateral(
      tenant,
      wish({ thisUpdate: derTime(ISSUED + DAY_MS), nextUpdate: derTime(END + DAY_MS) }),
    )
    await check(WARNED + DAY_MS - 1)
    expect(await told()).toEqual([])
    await check(WARNED + DAY_MS)
    expect(await told()).toEqual([['ending', newer]])
    const newest = await addCollateral(
      tenant,
      wish({ thisUpdate: derTime(ISSUED + 2 * DAY_MS), nextUpdate: derTime(END + 30 * DAY_MS) }),
    )
    await check(END + 2 * DAY_MS)
    expect(await told()).toEqual([['ending', newer]])
    await check(END + 30 * DAY_MS)
    expect((await told()).at(-1)).toEqual(['ended', newest])
  })

  test('is not told of when it is removed, or names no end', async () => {
    const id = await addCollateral(tenant, wish())
    const list = { kind: 'android-status-list', body: Buffer.from('{"entries":{}}').toString('base64url') }
    await addCollateral(tenant, list)
    await call(service, 'DELETE', `/v1/collateral/${id}`, { token: tenant.adminToken })
    await check(END + DAY_MS)
    expect(await note(tenant, id, END)).toEqual([])
    expect(await told()).toEqual([])
  })

  test('of one organization is told to nobody else, and nobody notes it for another', async () => {
    const other = await makeTenant(service, randomUUID())
    const [mine, theirs] = [await addCollateral(tenant, wish()), await addCollateral(other, livesFor(90 * DAY_MS))]
    expect(await note(other, mine, WARNED)).toEqual([])
    await check(WARNED)
    expect(await told()).toEqual([['ending', mine]])
    expect(await told(other)).toEqual([])
    await check(ISSUED + 90 * DAY_MS)
    expect(await told(other)).toEqual([['ended', theirs]])
  })
})

describe('workers at once', () => {
  test('tell of each once', async () => {
    const other = await makeTenant(service, randomUUID())
    for (let i = 0; i < 20; i++) await addCollateral(i % 2 === 0 ? tenant : other)
    for (const now of [WARNED, END]) await Promise.all(Array.from({ length: 4 }, () => check(now)))
    await check(END)
    for (const of of [tenant, other]) {
      const stages = (await told(of)).map(([stage]) => stage)
      expect(stages.toSorted()).toEqual([...Array(10).fill('ended'), ...Array(10).fill('ending')])
    }
  })

  test('do not tell of what somebody else is telling of, nor wait for it; if he fails, the next one does', async () => {
    const id = await addCollateral(tenant, wish())
    const crash = new Error('crash')
    const failed = worker.withOrganization(tenant.organizationId, async (tx) => {
      expect(await noteCollateralAlarms(tx, [id], { now: WARNED, warningSeconds: 72 * 3_600 })).toHaveLength(1)
      expect(await check(WARNED)).toEqual({ ending: 0, ended: 0 })
      throw crash
    })
    await expect(failed).rejects.toBe(crash)
    expect(await told()).toEqual([])
    expect(await check(WARNED)).toEqual({ ending: 1, ended: 0 })
  })

  test('do not tell of what was noted since they looked', async () => {
    const id = await addCollateral(tenant, wish())
    const { sql } = service.database
    await sql.query('begin')
    await sql.query(`insert into collateral_alarm values ($1, $2, 'ending', now())`, [tenant.organizationId, id])
    const checking = check(WARNED)
    const blocked = 'select from pg_locks where not granted and pg_backend_pid() = any (pg_blocking_pids(pid))'
    await expect.poll(async () => (await sql.query(blocked)).rowCount).toBe(1)
    await sql.query('commit')
    expect(await checking).toEqual({ ending: 0, ended: 0 })
    expect(await told()).toEqual([])
  })

  test.each([
    ['commit', []],
    ['rollback', ['ending']],
  ])('leave out what somebody is removing: after his %s %j is told', async (end, expected) => {
    const id = await addCollateral(tenant, wish())
    const { sql } = service.database
    await sql.query('begin')
    await sql.query('update collateral set removed_at = created_at where id = $1', [id])
    expect(await check(WARNED)).toEqual({ ending: 0, ended: 0 })
    await sql.query(end)
    await check(WARNED)
    expect((await told()).map(([stage]) => stage)).toEqual(expected)
  })
})

describe('a run that ends halfway', () => {
  test('notes nothing of which the event is not stored, and the next run tells of it', async () => {
    const id = await addCollateral(tenant, wish())
    const { sql } = service.database
    await sql.query('revoke insert on audit_outbox from qflare_worker')
    try {
      await expect(check(WARNED)).rejects.toMatchObject({ code: 'event_refused' })
    } finally {
      await sql.query('grant insert on audit_outbox to qflare_worker')
    }
    expect((await sql.query('select from collateral_alarm where collateral_id = $1', [id])).rowCount).toBe(0)
    await check(WARNED)
    expect(await told()).toEqual([['ending', id]])
  })

  test('has told of what it told, and the next run tells of the rest', async () => {
    const other = await makeTenant(service, randomUUID())
    for (const of of [tenant, other]) await addCollateral(of)
    const stop = new Error('stop')
    const stopped = checkCollateral(parts, WARNED, async () => {
      throw stop
    })
    await expect(stopped).rejects.toBe(stop)
    expect([...(await told()), ...(await told(other))]).toHaveLength(1)
    await check(WARNED)
    for (const of of [tenant, other]) expect(await told(of)).toHaveLength(1)
  })
})

test('ten thousand that end at once are told of in steps of 500 at most, each once', async () => {
  const { sql } = service.database
  const other = await makeTenant(service, randomUUID())
  for (const { organizationId } of [tenant, other]) {
    await sql.query(
      `insert into collateral (organization_id, id, kind, lookup_id, name, issued_at, next_update_at, body, body_hash, mac,
          mac_key_version, created_at)
        select $1, gen_random_uuid(), 'crl', 'crl:' || i, 'one', $2, $3, 'x', $4, $4, 1, $2 from generate_series(1, 5000) as i`,
      [organizationId, new Date(ISSUED), new Date(END), randomBytes(32)],
    )
  }
  const steps: number[] = [0]
  expect(await checkCollateral(parts, WARNED, async (done) => void steps.push(done))).toEqual({
    ending: 10_000,
    ended: 0,
  })
  expect(Math.max(...steps.slice(1).map((done, i) => done - (steps[i] ?? 0)))).toBeLessThanOrEqual(500)
  expect(await check(WARNED)).toEqual({ ending: 0, ended: 0 })
  for (const of of [tenant, other]) expect(new Set((await told(of)).map(([, id]) => id)).size).toBe(5_000)
})
