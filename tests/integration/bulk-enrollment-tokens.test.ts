import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { call, makeIdentity, signCompletion, startEnrollment } from '../support/api.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { eventsOf, makeTenant, type Tenant } from '../support/tenants.ts'

let service: TestService
let tenant: Tenant

beforeAll(async () => {
  service = await startTestService()
  tenant = await makeTenant(service, 'acme')
})
afterAll(() => service.close())

const bulk = (items: unknown, of: Tenant = tenant) =>
  call(service, 'POST', '/v1/enrollment-tokens/bulk', { token: of.adminToken, body: { items } })
const show = async (id: string) =>
  (await call(service, 'GET', `/v1/enrollment-tokens/${id}`, { token: tenant.adminToken })).body
const list = async (query: string) =>
  (await call(service, 'GET', `/v1/enrollment-tokens${query}`, { token: tenant.adminToken })).body.items as {
    id: string
  }[]

/** The 201 of an enrolment with a token. */
async function enrol(token: string, wish: { name?: string }) {
  const started = await startEnrollment(service, token.split('.').slice(0, 2).join('.'))
  const body = signCompletion(started, makeIdentity().identityKey, wish)
  const answer = await call(service, 'POST', `/v1/enrollments/${started.enrollmentId}/complete`, { body })
  expect(answer.status).toBe(201)
  return answer.body
}

describe('many enrolment tokens', () => {
  test('are made at once, in the order asked, each with its own terms', async () => {
    const { status, body } = await bulk([
      { kind: 'device', name: 'first', type: 'camera', capabilities: ['tpm', 'cuda'], ttlSeconds: 60 },
      { kind: 'coordinator' },
      { kind: 'device', name: 'third', policyId: 'none' },
    ])
    expect(status).toBe(201)
    expect(body.items.map(({ name }: { name: string | null }) => name)).toEqual(['first', null, 'third'])
    expect(body.items[0]).toEqual({
      id: expect.any(String),
      token: expect.stringMatching(`^${body.items[0].id}\\.[A-Za-z0-9_-]{43}\\.[A-Za-z0-9_-]{22}$`),
      expiresAt: service.time.now + 60_000,
      name: 'first',
    })
    const [first, second, third] = await Promise.all(body.items.map(({ id }: { id: string }) => show(id)))
    expect(first).toMatchObject({
      kind: 'device',
      name: 'first',
      type: 'camera',
      capabilities: ['cuda', 'tpm'],
      status: 'open',
    })
    expect(second).toMatchObject({ kind: 'coordinator', name: null, type: null, capabilities: [], policyId: 'none' })
    expect(third.expiresAt).toBe(service.time.now + 86_400_000)
    const { deviceId } = await enrol(body.items[0].token, { name: 'first' })
    const device = await call(service, 'GET', `/v1/devices/${deviceId}`, { token: tenant.adminToken })
    expect(device.body).toMatchObject({ name: 'first', type: 'camera', capabilities: ['cuda', 'tpm'] })
    expect(await show(body.items[0].id)).toMatchObject({ status: 'used', deviceId })
  })

  test('of 500 are distinct, in order, and have an event each that can be found by the request', async () => {
    const items = Array.from({ length: 500 }, (_, i) => ({ kind: 'device', name: `device ${i}` }))
    const many = await makeTenant(service, 'many')
    const { body, headers } = await bulk(items, many)
    expect(body.items.map(({ name }: { name: string }) => name)).toEqual(items.map(({ name }) => name))
    expect(new Set(body.items.map(({ token }: { token: string }) => token)).size).toBe(500)
    const events = await eventsOf(service, many.organizationId, 'enrollment_token.created')
    expect(events.map(({ subject }) => subject.enrollmentTokenId)).toEqual(
      body.items.map(({ id }: { id: string }) => id),
    )
    expect(new Set(events.map((event) => (event as unknown as { requestId: string }).requestId))).toEqual(
      new Set([headers.get('x-request-id')]),
    )
    const text = JSON.stringify(events)
    for (const { token } of body.items) expect(text).not.toContain(token.split('.')[1])
  })

  const good = { kind: 'device' }
  test.each([
    ['a bad item at the end', [...Array.from({ length: 499 }, () => good), { kind: 'toaster' }], 'items.499.kind'],
    ['an unknown member in one', [good, { ...good, colour: 'red' }, good], 'items.1.colour'],
    ['a type that is no label in one', [good, { ...good, type: 'A' }], 'items.1.type'],
    ['a policy that does not exist in one', [good, { ...good, policyId: 'strict' }], 'items.1.policyId'],
    ['no item', [], 'items'],
    ['501 items', Array.from({ length: 501 }, () => good), 'items'],
    ['no list', good, 'items'],
  ])('with %s are none at all', async (_what, items, field) => {
    const before = await databaseContents(service)
    expectRefusal(await bulk(items), 400, 'malformed', field)
    expect(await databaseContents(service)).toEqual(before)
  })

  test('are none at all when the database refuses the last of them', async () => {
    const { sql } = service.database
    await sql.query(`alter table enrollment_token add constraint no_last check (name <> 'last')`)
    const before = await databaseContents(service)
    expect((await bulk([good, { ...good, name: 'last' }])).status).toBe(500)
    expect(await databaseContents(service)).toEqual(before)
    await sql.query('alter table enrollment_token drop constraint no_last')
    expect((await bulk([good, { ...good, name: 'last' }])).status).toBe(201)
  })

  test('may take 256 KiB to ask for, and not more', async () => {
    const labels = Array.from({ length: 32 }, (_, i) => `${'l'.repeat(58)}${100 + i}`)
    const long = { kind: 'device', name: '\u{1F4F7}'.repeat(64), capabilities: labels }
    const size = (count: number) => JSON.stringify({ items: Array.from({ length: count }, () => long) }).length
    const count = Math.floor(262_144 / (size(2) - size(1))) - 10
    expect(size(count)).toBeGreaterThan(200_000)
    expect((await bulk(Array.from({ length: count }, () => long))).status).toBe(201)
    expectRefusal(await bulk(Array.from({ length: count + 20 }, () => long)), 413, 'payload_too_large')
  })
})

describe('the list of enrolment tokens', () => {
  test('filters by what each token is by now', async () => {
    const other = await makeTenant(service, 'other')
    tenant = other
    const { body } = await bulk([
      { kind: 'device', name: 'open' },
      { kind: 'device', name: 'used' },
      { kind: 'device', name: 'revoked' },
      { kind: 'device', name: 'expired', ttlSeconds: 60 },
      { kind: 'device', name: 'used and old', ttlSeconds: 61 },
    ])
    const ids = Object.fromEntries(body.items.map(({ id, name }: { id: string; name: string }) => [name, id]))
    await enrol(body.items[1].token, { name: 'used' })
    await enrol(body.items[4].token, { name: 'used and old' })
    await call(service, 'DELETE', `/v1/enrollment-tokens/${ids.revoked}`, { token: other.adminToken })
    const { now } = service.time
    service.time.now += 60_000
    const shown = async (status: string) => (await list(`?status=${status}`)).map(({ id }) => id)
    expect(await shown('open')).toEqual([ids.open])
    expect(new Set(await shown('used'))).toEqual(new Set([ids['used and old'], ids.used]))
    expect(await shown('revoked')).toEqual([ids.revoked])
    expect(await shown('expired')).toEqual([ids.expired])
    for (const token of await list(''))
      expect(await shown((token as unknown as { status: string }).status)).toContain(token.id)
    const refused = await call(service, 'GET', '/v1/enrollment-tokens?status=lost', { token: other.adminToken })
    expectRefusal(refused, 400, 'malformed', 'status')
    service.time.now = now
  })
})
