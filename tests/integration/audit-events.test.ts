import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { EventDraft } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import { type Answer, call } from '../support/api.ts'
import { addEvents, deviceEvent, firstOrganization, readEntries, type StoredEntry } from '../support/audit.ts'
import { expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeTenant, type Tenant } from '../support/tenants.ts'

/** What auditors of two organizations read of a log of three partitions, held against all of its entries. */

const ENTRIES = 1_400
const devices = Array.from({ length: 5 }, newId)
const tokens = Array.from({ length: 3 }, newId)

let service: TestService
let other: Tenant
let organizationId: string
let all: StoredEntry[]
let begin: number

beforeAll(async () => {
  service = await startTestService({ partitionEntries: 512 })
  other = await makeTenant(service, 'other')
  organizationId = await firstOrganization(service)
  begin = service.time.now
  const organizations = [organizationId, other.organizationId, NIL_UUID]
  const events = Array.from({ length: ENTRIES }, (_, i) => ({
    draft: draftOf(organizations[i % 3] as string, i),
    // A second apart, and now and then one that comes late.
    at: begin + 1_000 * i - (i % 37 === 0 ? 20_000 : 0),
  }))
  // Of the service: far behind and far ahead of all others of their partitions.
  Object.assign(events[1_301] as object, { at: begin - 3_600_000 })
  Object.assign(events[1_100] as object, { at: begin + 36_000_000 })
  await addEvents(service, events)
  await service.log.sequence()
  all = await readEntries(service)
  expect(all.length).toBeGreaterThan(ENTRIES)
}, 120_000)
afterAll(() => service.close())

function draftOf(organization: string, i: number): EventDraft {
  const deviceId = devices[i % 5] as string
  const sessionId = newId()
  const event = {
    ...deviceEvent(organization, deviceId),
    actor: { type: 'api_token', id: tokens[Math.floor(i / 3) % 3] },
  } as EventDraft
  const byDevice = { ...event, actor: { type: 'device' as const, id: deviceId } }
  switch (i % 7) {
    case 0:
      return { ...byDevice, type: 'session.failed', subject: { deviceId, sessionId }, data: {} }
    case 1:
      return { ...byDevice, type: 'session.established', subject: { deviceId, sessionId }, data: {} }
    case 2:
      return { ...event, type: 'access.refused', subject: {}, data: { route: 'GET /x' } }
    // Of a device that is its actor alone.
    case 3:
      return { ...byDevice, type: 'access.refused', subject: {}, data: { route: 'GET /y' } }
    case 4: {
      const subject = { enrollmentTokenId: newId() }
      return { ...event, type: 'enrollment.mismatched', subject, data: { code: 'x' } }
    }
    default:
      return event
  }
}

/** Every page that there is, one after the other. */
async function listAll(query: Record<string, string>, by: TestService, limit?: number): Promise<Answer['body'][]> {
  const items: Answer['body'][] = []
  let cursor: string | null = null
  do {
    const parameters = new URLSearchParams(query)
    if (limit !== undefined) parameters.set('limit', String(limit))
    if (cursor !== null) parameters.set('cursor', cursor)
    const { status, body }: Answer = await list(parameters, by)
    expect(status).toBe(200)
    expect(body.items.length).toBeLessThanOrEqual(limit ?? 50)
    if (body.nextCursor !== null) expect(body.items).toHaveLength(limit ?? 50)
    items.push(...body.items)
    cursor = body.nextCursor
  } while (cursor !== null)
  return items
}

function list(query: URLSearchParams, by: TestService = service): Promise<Answer> {
  return call(service, 'GET', `/v1/audit/events?${query.toString()}`, { token: by.adminToken })
}

const organizationOf = (by: TestService) => (by === other ? other.organizationId : organizationId)

/** The same, out of the whole log and without any SQL. */
function expected(query: Record<string, string>, by: TestService): object[] {
  const { type, severity, actor, device, from, to, order } = query
  const found = all.filter(({ organizationId: organization, event }) => {
    const isByDevice = event.actor.type === 'device' || event.actor.type === 'coordinator'
    const deviceId = event.subject.deviceId ?? (isByDevice ? event.actor.id : undefined)
    return (
      [NIL_UUID, organizationOf(by)].includes(organization) &&
      (type === undefined || event.type === type) &&
      (severity === undefined || event.severity === severity) &&
      (actor === undefined || event.actor.id === actor) &&
      (device === undefined || deviceId === device) &&
      (from === undefined || event.at >= Number(from)) &&
      (to === undefined || event.at < Number(to))
    )
  })
  const items = found.map(({ index, event }) => ({ index, event }))
  return order === 'oldest' ? items : items.toReversed()
}

const at = (seconds: number) => () => String(begin + 1_000 * seconds)
type Query = Record<string, string | (() => string)>
const resolve = (query: Query) =>
  Object.fromEntries(Object.entries(query).map(([name, value]) => [name, typeof value === 'string' ? value : value()]))

const filters: [string, Query][] = [
  ['nothing', {}],
  ['type', { type: 'session.failed' }],
  ['severity info', { severity: 'info' }],
  ['severity notice', { severity: 'notice' }],
  ['severity warning', { severity: 'warning' }],
  ['severity critical', { severity: 'critical' }],
  ['a token that acted', { actor: tokens[1] as string }],
  ['a device that acted', { actor: devices[2] as string }],
  ['a device, as subject or actor', { device: devices[2] as string }],
  ['from a time in the second partition on', { from: at(700) }],
  ['before a time in the second partition', { to: at(700) }],
  ['between times in one partition', { from: at(100), to: at(180) }],
  ['between times in three partitions', { from: at(400), to: at(1_200) }],
  ['from the very time of an event', { from: at(501), to: at(504) }],
  ['before a time that one late entry alone has', { to: at(-60) }],
  ['from a time on that one early entry alone has', { from: at(9_000) }],
  [
    'everything at once',
    { type: 'access.refused', severity: 'warning', device: devices[3] as string, from: at(50), to: at(1_300) },
  ],
]

describe('the list of events', () => {
  test.each(filters)('by %s is what the log has of the organization and of the service', async (_what, filter) => {
    for (const by of [service, other]) {
      for (const order of ['newest', 'oldest']) {
        const query = { ...resolve(filter), order }
        const found = await listAll(query, by, 200)
        expect(found).toEqual(expected(query, by))
        expect(found).not.toEqual([])
      }
    }
  })

  test('comes in pages of 50, newest first, unless something else is asked for', async () => {
    const { body } = await list(new URLSearchParams())
    expect(body.items).toEqual(expected({}, service).slice(0, 50))
    expect(body.nextCursor).toBe(String(body.items[49].index))
    expect(await listAll({}, service)).toEqual(expected({}, service))
  })

  test.each([1, 7, 199])('has no gap and nothing twice in pages of %i', async (limit) => {
    for (const order of ['newest', 'oldest']) {
      const query = { type: 'session.failed', order, ...(limit === 1 ? { actor: devices[1] as string } : {}) }
      expect(await listAll(query, service, limit)).toEqual(expected(query, service))
    }
  })

  test.each<[string, Query]>([
    ['a type that never came', { type: 'device.never' }],
    ['an actor that nobody is', { actor: newId() }],
    ['a device that nobody is', { device: newId() }],
    ['a time after the last event', { from: at(100_000) }],
    ['a time before the first event', { to: '1' }],
    ['times the wrong way round', { from: at(700), to: at(600) }],
    ['the end of time', { from: '999999999999999', to: '999999999999999' }],
    ['an index behind the last', { order: 'oldest', cursor: '999999999999999' }],
    ['an index before the first', { cursor: '0' }],
  ])('is empty for %s, and says that there is no next page', async (_what, query) => {
    const { status, body } = await list(new URLSearchParams(resolve(query)))
    expect({ status, body }).toEqual({ status: 200, body: { items: [], nextCursor: null } })
  })

  test.each([
    ['type', 'no type'],
    ['type', `a.${'b'.repeat(64)}`],
    ['severity', 'all'],
    ['actor', 'nobody'],
    ['device', 'nobody'],
    ['from', '-1'],
    ['from', '2031-05-06'],
    ['to', '1e3'],
    ['order', 'random'],
    ['limit', '0'],
    ['limit', '201'],
    ['cursor', 'x'],
    ['cursor', '-1'],
    ['organizationId', NIL_UUID],
  ])('refuses %s=%s by name', async (name, value) => {
    expectRefusal(await list(new URLSearchParams({ [name]: value })), 400, 'malformed', name)
  })

  test('shows another tenant’s events to nobody, under whatever filter', async () => {
    const own = new Set(all.filter((entry) => entry.organizationId === other.organizationId).map(({ index }) => index))
    for (const query of [{}, ...filters.map(([, filter]) => resolve(filter))]) {
      const seen = await listAll(query, service, 200)
      expect(seen.filter(({ index }) => own.has(index))).toEqual([])
    }
    const byOther = (await listAll({}, other, 200)).map(({ index }) => index)
    expect(own.size).toBeGreaterThan(400)
    expect([...own].filter((index) => !byOther.includes(index))).toEqual([])
  })
})

describe('an event', () => {
  const get = (id: string, by: TestService = service) =>
    call(service, 'GET', `/v1/audit/events/${id}`, { token: by.adminToken })
  const first = (organization: string) => all.findLast((entry) => entry.organizationId === organization) as StoredEntry

  test('is shown with its index exactly as it was hashed, to its organization', async () => {
    const { index, event } = first(organizationId)
    expect(await get(event.id)).toMatchObject({ status: 200, body: { index, event } })
    expect(JSON.stringify((await get(event.id)).body.event)).toBe(first(organizationId).entry)
  })

  test('of the service itself is shown to every auditor', async () => {
    const { index, event } = first(NIL_UUID)
    for (const by of [service, other]) expect((await get(event.id, by)).body).toEqual({ index, event })
  })

  test('of another organization cannot be told from one that never was', async () => {
    const foreign = await get(first(other.organizationId).event.id)
    const random = await get(newId())
    expectRefusal(foreign, 404, 'not_found')
    expect({ ...foreign.body, requestId: '' }).toEqual({ ...random.body, requestId: '' })
    expectRefusal(await get('nothing'), 404, 'not_found')
    expect((await get(first(other.organizationId).event.id, other)).status).toBe(200)
  })

  test('is shown from the moment on in which a checkpoint covers it, and not before', async () => {
    const [written] = await addEvents(service, [{ draft: deviceEvent(organizationId), at: service.time.now }])
    const id = written?.eventId as string
    const newest = async () => (await list(new URLSearchParams({ limit: '1' }))).body.items[0].event.id
    const expectUnseen = async () => {
      expectRefusal(await get(id), 404, 'not_found')
      expectRefusal(
        await call(service, 'GET', `/v1/audit/events/${id}/proof`, { token: service.adminToken }),
        404,
        'not_found',
      )
      expect(await newest()).not.toBe(id)
    }
    await expectUnseen()
    await service.log.writer.append()
    await expectUnseen()
    await service.log.writer.publish()
    expect((await get(id)).status).toBe(200)
    expect(await newest()).toBe(id)
  })
})
