import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { call } from '../support/api.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { eventsOf, makeApiToken, makeTenant, type Tenant } from '../support/tenants.ts'

let service: TestService
let tenant: Tenant

beforeAll(async () => {
  service = await startTestService()
  tenant = await makeTenant(service, 'acme')
})
afterAll(() => service.close())

const create = (body: unknown) => call(service, 'POST', '/v1/api-tokens', { token: tenant.adminToken, body })
const revoke = (id: string, token: string) => call(service, 'DELETE', `/v1/api-tokens/${id}`, { token })
const use = async (token: string) => (await call(service, 'GET', '/v1/devices', { token })).status

async function shown(id: string) {
  const { body } = await call(service, 'GET', '/v1/api-tokens', { token: tenant.adminToken })
  return body.items.find((item: { id: string }) => item.id === id)
}

describe('an API token', () => {
  test('is good from its making, for its roles and its organization, and is shown without its secret', async () => {
    const { status, body } = await create({ name: 'ci', roles: ['operator', 'auditor'], ttlSeconds: 3600 })
    const expiresAt = service.time.now + 3_600_000
    expect({ status, body }).toEqual({
      status: 201,
      body: { id: expect.any(String), token: expect.any(String), expiresAt },
    })
    expect(await use(body.token)).toBe(200)
    expect((await call(service, 'POST', '/v1/api-tokens', { token: body.token, body: {} })).status).toBe(403)
    expect(await shown(body.id)).toEqual({
      id: body.id,
      name: 'ci',
      roles: ['operator', 'auditor'],
      serviceAdmin: false,
      status: 'open',
      createdAt: service.time.now,
      expiresAt,
      revokedAt: null,
    })
    const events = await eventsOf(service, tenant.organizationId)
    const created = events.filter(({ type }) => type === 'api_token.created')
    expect(JSON.stringify(events)).not.toContain(body.token.slice(40))
    expect(created.at(-1)).toMatchObject({
      actor: { type: 'api_token', id: tenant.adminToken.slice(3, 39) },
      subject: { apiTokenId: body.id },
      data: { name: 'ci', roles: ['operator', 'auditor'], expiresAt },
    })
  })

  test('is refused from the moment of its expiry', async () => {
    const { id, token, expiresAt } = await makeApiToken(tenant, ['operator'], 60)
    const { now } = service.time
    service.time.now = (expiresAt as number) - 1
    expect([await use(token), (await shown(id)).status]).toEqual([200, 'open'])
    service.time.now = expiresAt as number
    expect([await use(token), (await shown(id)).status]).toEqual([401, 'expired'])
    service.time.now = now
  })

  test('is refused as soon as it is revoked, while others use it', async () => {
    const { id, token } = await makeApiToken(tenant, ['operator'])
    let revoked = false
    const late: number[] = []
    const uses = Array.from({ length: 8 }, async () => {
      for (let i = 0; i < 20; i++) {
        const isLate = revoked
        const status = await use(token)
        if (isLate) late.push(status)
        else expect([200, 401]).toContain(status)
      }
    })
    expect(await use(token)).toBe(200)
    expect((await revoke(id, tenant.adminToken)).status).toBe(204)
    revoked = true
    await Promise.all(uses)
    late.push(await use(token))
    expect(new Set(late)).toEqual(new Set([401]))
    expect(await shown(id)).toMatchObject({ status: 'revoked', revokedAt: service.time.now })
  })

  test('that is revoked again, one after the other and at once, stays as it is with one event', async () => {
    const { id } = await makeApiToken(tenant, ['operator'])
    const answers = await Promise.all(Array.from({ length: 5 }, () => revoke(id, tenant.adminToken)))
    service.time.now += 1000
    answers.push(await revoke(id, tenant.adminToken))
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 204))
    expect((await shown(id)).revokedAt).toBe(service.time.now - 1000)
    const events = await eventsOf(service, tenant.organizationId, 'api_token.revoked')
    expect(events.filter(({ subject }) => subject.apiTokenId === id)).toHaveLength(1)
  })

  test('of an admin can revoke itself, and can make nothing afterwards', async () => {
    const { id, token } = await makeApiToken(tenant, ['admin'])
    expect((await revoke(id, token)).status).toBe(204)
    const answer = await call(service, 'POST', '/v1/api-tokens', { token, body: { name: 'x', roles: ['admin'] } })
    expectRefusal(answer, 401, 'unauthenticated')
  })

  test.each([
    ['no name', { roles: ['auditor'] }, 'name'],
    ['no roles', { name: 'x' }, 'roles'],
    ['an empty list of roles', { name: 'x', roles: [] }, 'roles'],
    ['a role twice', { name: 'x', roles: ['auditor', 'auditor'] }, 'roles'],
    ['a role that is none', { name: 'x', roles: ['auditor', 'service_admin'] }, 'roles.1'],
    ['a wish to administer the service', { name: 'x', roles: ['admin'], serviceAdmin: true }, 'serviceAdmin'],
    ['the column’s name for that', { name: 'x', roles: ['admin'], service_admin: true }, 'service_admin'],
    ['another organization', { name: 'x', roles: ['admin'], organizationId: 'x' }, 'organizationId'],
    ['a life of 59 seconds', { name: 'x', roles: ['admin'], ttlSeconds: 59 }, 'ttlSeconds'],
    ['a life of more than a year', { name: 'x', roles: ['admin'], ttlSeconds: 31_536_001 }, 'ttlSeconds'],
    ['a life of null', { name: 'x', roles: ['admin'], ttlSeconds: null }, 'ttlSeconds'],
  ])('is refused with %s', async (_what, body, field) => {
    const before = await databaseContents(service)
    expectRefusal(await create(body), 400, 'malformed', field)
    expect(await databaseContents(service)).toEqual(before)
  })
})

describe('the token that administers the service', () => {
  const id = () => service.adminToken.slice(3, 39)

  test('cannot be revoked by a plain admin of its organization, who sees it, nor by another organization’s', async () => {
    const { token } = await makeApiToken(service, ['admin'])
    expectRefusal(await revoke(id(), token), 403, 'forbidden')
    expectRefusal(await revoke(id(), tenant.adminToken), 404, 'not_found')
    const { body } = await call(service, 'GET', '/v1/api-tokens', { token })
    expect(body.items).toContainEqual(expect.objectContaining({ id: id(), serviceAdmin: true, status: 'open' }))
    expect(await use(service.adminToken)).toBe(200)
  })

  test('makes tokens of its own organization that do not administer the service', async () => {
    const { token } = await makeApiToken(service, ['admin'])
    expectRefusal(await call(service, 'GET', '/v1/organizations', { token }), 403, 'forbidden')
    const { rows } = await service.database.sql.query('select id from api_token where service_admin')
    expect(rows).toEqual([{ id: id() }])
  })

  test('can be revoked with itself, for good', async () => {
    expect((await revoke(id(), service.adminToken)).status).toBe(204)
    expect(await use(service.adminToken)).toBe(401)
  })
})
