import { Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Database } from '../../database/open.ts'
import type { Json } from '../../protocol/encoding.ts'
import { createEventWriter } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import { createLogger } from '../../runtime/logger.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { MAX_IDS_OF_CALLER, MAX_MINUTES, MAX_SUBJECTS } from '../../server/services/refusal-tally.ts'
import { createRefusals } from '../../server/services/refusals.ts'
import { MAX_EVENTS_OF_ORGANIZATION } from '../../server/services/tell-refusals.ts'
import { call, enrollTestDevice, initiate, makeIdentity, sendExchange, type TestDevice } from '../support/api.ts'
import { hasRedis, startTestRedis } from '../support/redis.ts'
import { exchangeRefused, minuteOf, startTellingNode, toldTo } from '../support/refusal-events.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { makeApiToken, makeTenant, type Tenant } from '../support/tenants.ts'

/** When refusals are told, and what becomes of them when they cannot be, or are too many. */

const WITHIN = { timeout: 10_000, interval: 20 }
let service: TestService
let device: TestDevice
let tenant: Tenant
let forged: Json
let database: Database
beforeAll(async () => {
  service = await startTestService()
  database = service.database.open('qflare_api', 2)
})
afterAll(() => service.close())

/** An organization of its own, with one device in whose name a forged message is sent. */
async function begin(): Promise<void> {
  tenant = await makeTenant(service, newId())
  device = await enrollTestDevice(tenant)
  forged = (await initiate(service, { ...device, ...makeIdentity() })).wire
}
const forge = async (node: { url: string }) =>
  expect((await sendExchange({ ...service, ...node }, forged)).status).toBe(401)
const toldOfDevice = (signature: number, since = minuteOf(service)) =>
  exchangeRefused(device.deviceId, since, { signature })

test('are told at the turn of the service’s minute, an event for each', async () => {
  await begin()
  const node = await service.startNode({ tellsRefusals: true })
  const minutes = [minuteOf(service), minuteOf(service) + 60_000]
  for (const [i, since] of minutes.entries()) {
    for (let times = 0; times <= i; times++) await forge(node)
    expect(await toldTo(tenant)).toHaveLength(i)
    service.time.now += 60_000
    await vi.waitFor(async () => expect((await toldTo(tenant))[i]).toEqual(toldOfDevice(i + 1, since)), WITHIN)
  }
  await node.close()
  expect(await toldTo(tenant)).toHaveLength(2)
})

test('are told by each process for itself, when it stops: nothing that was noted is lost', async () => {
  await begin()
  const nodes = [await startTellingNode(tenant), await startTellingNode(tenant)]
  for (const { node } of nodes) for (let i = 0; i < 2; i++) await forge(node)
  await forge((nodes[1] as (typeof nodes)[number]).node)
  expect(await toldTo(tenant)).toEqual([])
  await Promise.all(nodes.map(({ tell }) => tell()))
  const counts = (await toldTo(tenant)).map(({ data }) => Number(data.signature))
  expect(new Set(counts)).toEqual(new Set([2, 3]))
})

test.skipIf(!hasRedis)('count a token that is remembered for a moment as one that is looked up', async () => {
  await begin()
  const redis = await startTestRedis()
  onTestFinished(() => redis.stop())
  const { id, token } = await makeApiToken(tenant, ['auditor'])
  const node = await service.startNode({ redisUrl: redis.url })
  const ask = async (sent: string, status: number) =>
    expect((await call(node, 'GET', '/v1/audit/events', { token: sent })).status).toBe(status)
  await ask(token, 200)
  for (let i = 0; i < 4; i++) await ask(`${token.slice(0, -4)}${token.endsWith('AAAA') ? 'BBBB' : 'AAAA'}`, 401)
  await node.close()
  expect(await toldTo(tenant)).toMatchObject([{ subject: { apiTokenId: id }, data: { secret: 4, ended: 0 } }])
})

/** The parts alone, with a clock of their own. */
function open() {
  const time = { now: service.time.now }
  const clock = { now: () => time.now, offsetMs: () => 0, measuredAt: () => time.now, measure: async () => {} }
  const lines: Record<string, unknown>[] = []
  const write = (line: string, _encoding: string, done: () => void) => {
    lines.push(JSON.parse(line))
    done()
  }
  const logger = createLogger('info', new Writable({ decodeStrings: false, write }))
  const metrics = createMetrics()
  const parts = { database, clock, writeEvent: createEventWriter(crypto), logger, metrics }
  const untold = async () =>
    Object.fromEntries((await metrics.refusalsUntold.get()).values.map(({ labels, value }) => [labels.why, value]))
  const turn = () => (time.now += 60_000)
  const since = () => minuteOf({ time })
  return { refusals: createRefusals(parts, 5), time, lines, metrics, turn, untold, since }
}
const caller = (id: string) =>
  ({ type: 'api_token', id, organizationId: tenant.organizationId, roles: [], isServiceAdmin: false }) as const
const owned = () => ({ id: newId(), organizationId: tenant.organizationId })

describe('a database that is away at the turn of the minute', () => {
  /** Nobody of this database is connected any more, or gets in. */
  async function withoutDatabase(work: () => Promise<void>): Promise<void> {
    const { sql, name } = service.database
    await sql.query(`alter database ${name} connection limit 0`)
    await sql.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'qflare'`,
    )
    try {
      await work()
    } finally {
      await sql.query(`alter database ${name} connection limit -1`)
    }
    // The service may still be about to find out that its connections are gone.
    const answered = () => call(service, 'GET', '/v1/devices', { token: service.adminToken })
    await vi.waitFor(async () => expect((await answered()).status).toBe(200), WITHIN)
  }

  test('is told with the next one, each minute by itself', async () => {
    await begin()
    const { refusals, lines, turn, since } = open()
    const first = since()
    await withoutDatabase(async () => {
      refusals.note.exchange(device.deviceId, 'signature', tenant.organizationId)
      turn()
      await vi.waitFor(() => expect(lines).toHaveLength(1), WITHIN)
    })
    expect(lines[0]).toMatchObject({ msg: 'refusals could not be told to the audit log', level: 50 })
    refusals.note.exchange(device.deviceId, 'inactive', tenant.organizationId)
    turn()
    await vi.waitFor(async () => expect(await toldTo(tenant)).toHaveLength(2), WITHIN)
    expect(await toldTo(tenant)).toEqual([
      toldOfDevice(1, first),
      exchangeRefused(device.deviceId, first + 60_000, { inactive: 1 }),
    ])
    await refusals.close()
    expect(lines).toHaveLength(1)
  })

  test('for longer than some minutes loses the oldest, which are counted; so does a stop meanwhile, which says so', async () => {
    await begin()
    const { refusals, lines, turn, untold, since } = open()
    await withoutDatabase(async () => {
      for (let minute = 0; minute < MAX_MINUTES + 2; minute++) {
        for (let i = 0; i < 3; i++) refusals.note.exchange(device.deviceId, 'signature', tenant.organizationId)
        const before = lines.length
        turn()
        await vi.waitFor(() => expect(lines.length).toBeGreaterThan(before), WITHIN)
      }
    })
    expect(await untold()).toEqual({ outage: 6 })
    turn()
    await vi.waitFor(async () => expect(await toldTo(tenant)).toHaveLength(MAX_MINUTES), WITHIN)
    const last = since() - 2 * 60_000
    expect((await toldTo(tenant)).at(-1)).toEqual(toldOfDevice(3, last))
    await withoutDatabase(async () => {
      refusals.note.exchange(device.deviceId, 'signature', tenant.organizationId)
      await refusals.close()
    })
    expect(lines.at(-1)).toMatchObject({ msg: 'refusals are lost that were not told to the audit log', count: 1 })
    expect(await toldTo(tenant)).toHaveLength(MAX_MINUTES)
  })

  test('for one organization alone keeps no other from being told', async () => {
    await begin()
    const another = await makeTenant(service, newId())
    const { refusals, turn } = open()
    await service.database.sql.query(
      `alter table audit_outbox add constraint refuse check (organization_id <> '${tenant.organizationId}') not valid`,
    )
    refusals.note.apiToken(owned(), 'secret')
    refusals.note.apiToken({ id: newId(), organizationId: another.organizationId }, 'secret')
    const asking = { ...caller(newId()), organizationId: another.organizationId }
    refusals.note.notFound(asking, 'GET /v1/devices/:id', newId())
    turn()
    await vi.waitFor(async () => expect(await toldTo(another)).toHaveLength(2), WITHIN)
    expect(await toldTo(tenant)).toEqual([])
    await service.database.sql.query('alter table audit_outbox drop constraint refuse')
    await refusals.close()
    expect(await toldTo(tenant)).toHaveLength(1)
    expect(await toldTo(another)).toHaveLength(2)
  })
})

describe('more than there is room for', () => {
  test('of one organization is counted, and what was proved is told first, then what came most often', async () => {
    await begin()
    const { refusals, untold } = open()
    for (let i = 0; i < MAX_EVENTS_OF_ORGANIZATION; i++) {
      const token = owned()
      for (let times = 0; times < 2; times++) refusals.note.apiToken(token, 'secret')
    }
    const loudest = owned()
    for (let times = 0; times < 3; times++) refusals.note.apiToken(loudest, 'secret')
    for (let i = 0; i < 4; i++) refusals.note.enrollmentToken(owned(), 'used')
    await refusals.close()
    const events = await toldTo(tenant)
    expect(events).toHaveLength(MAX_EVENTS_OF_ORGANIZATION)
    expect(events.slice(0, 4).map(({ data }) => data.used)).toEqual([1, 1, 1, 1])
    expect(events[4]).toMatchObject({ subject: { apiTokenId: loudest.id }, data: { secret: 3 } })
    expect(await untold()).toEqual({ events: 5 * 2 })
  })

  test('of devices, however loud, hides no guess at a token', async () => {
    await begin()
    const { refusals } = open()
    const guessed = owned()
    refusals.note.apiToken(guessed, 'secret')
    for (let i = 0; i < MAX_EVENTS_OF_ORGANIZATION; i++) {
      const deviceId = newId()
      for (let times = 0; times < 2; times++) refusals.note.exchange(deviceId, 'signature', tenant.organizationId)
    }
    await refusals.close()
    const events = await toldTo(tenant)
    expect(events).toHaveLength(MAX_EVENTS_OF_ORGANIZATION)
    expect(events[0]).toMatchObject({ subject: { apiTokenId: guessed.id }, data: { secret: 1 } })
  })

  test('of ids that somebody invents takes no room from ids that exist, nor those from what was proved', async () => {
    await begin()
    const { refusals, untold } = open()
    for (let i = 0; i < MAX_SUBJECTS + 10; i++) refusals.note.window(newId(), 3)
    for (let i = 0; i < 5; i++) refusals.note.exchange(newId(), 'signature', undefined)
    expect(await untold()).toEqual({ subjects: 15 })
    refusals.note.exchange(device.deviceId, 'signature', tenant.organizationId)
    refusals.note.exchange(device.deviceId, 'inactive', tenant.organizationId)
    await refusals.close()
    expect(await toldTo(tenant)).toMatchObject([{ data: { signature: 1, inactive: 1 } }])
    expect(await untold()).toEqual({ subjects: 15, events: 0 })
  })

  test('of many callers at once is counted', async () => {
    await begin()
    const { refusals, untold } = open()
    const callers = Array.from({ length: MAX_SUBJECTS / MAX_IDS_OF_CALLER }, () => caller(newId()))
    for (const each of [...callers, caller(newId())]) {
      for (let i = 0; i < MAX_IDS_OF_CALLER; i++) refusals.note.notFound(each, 'GET /v1/devices/:id', newId())
    }
    await refusals.close()
    expect((await toldTo(tenant)).map(({ data }) => data.count)).toEqual(callers.map(() => MAX_IDS_OF_CALLER))
    expect(await untold()).toEqual({ subjects: MAX_IDS_OF_CALLER, events: 0 })
  })

  test('of one caller leaves room for the others, and tells the service’s operator what was foreign', async () => {
    await begin()
    const another = await makeTenant(service, newId())
    const { deviceId: foreign } = await enrollTestDevice(another)
    const { refusals, metrics, lines, untold } = open()
    const [loud, quiet] = [caller(newId()), caller(newId())]
    for (let i = 0; i < MAX_IDS_OF_CALLER + 3; i++) refusals.note.notFound(loud, 'GET /v1/devices/:id', newId())
    refusals.note.notFound(quiet, 'GET /v1/devices/:id', foreign)
    await refusals.close()
    expect((await toldTo(tenant)).map(({ actor, data }) => ({ actor, count: data.count }))).toEqual([
      { actor: { type: 'api_token', id: loud.id }, count: MAX_IDS_OF_CALLER },
      { actor: { type: 'api_token', id: quiet.id }, count: 1 },
    ])
    expect(await toldTo(another)).toEqual([])
    expect(await untold()).toEqual({ subjects: 3, events: 0 })
    expect((await metrics.foreignIdsAsked.get()).values).toMatchObject([{ value: 1 }])
    expect(lines).toMatchObject([
      {
        msg: 'ids of another organization were asked for',
        apiTokenId: quiet.id,
        route: 'GET /v1/devices/:id',
        count: 1,
      },
    ])
  })
})

test('a clock that was wrong by a year and is put back is followed', async () => {
  await begin()
  const { refusals, time, turn } = open()
  const told = async (count: number) => vi.waitFor(async () => expect(await toldTo(tenant)).toHaveLength(count), WITHIN)
  const year = 365 * 24 * 3_600_000
  refusals.note.apiToken(owned(), 'secret')
  time.now += year
  refusals.note.apiToken(owned(), 'secret')
  await told(1)
  time.now -= year
  await told(2)
  refusals.note.apiToken(owned(), 'secret')
  turn()
  await told(3)
  await refusals.close()
})
