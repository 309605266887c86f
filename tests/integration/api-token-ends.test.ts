import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createEventWriter } from '../../runtime/audit-events.ts'
import { createLogger } from '../../runtime/logger.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { tellEndingApiTokens } from '../../workers/jobs/tell-ending-api-tokens.ts'
import { observeApiTokens } from '../../workers/observe-api-tokens.ts'
import { call } from '../support/api.ts'
import { expectRefusal } from '../support/refusals.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { eventsOf, makeApiToken, makeTenant, type Tenant } from '../support/tenants.ts'

const DAY_S = 86_400
const DAY_MS = DAY_S * 1_000

let service: TestService
let tenants: [Tenant, Tenant]
let begun: number

beforeAll(async () => {
  service = await startTestService()
  tenants = [await makeTenant(service, 'acme'), await makeTenant(service, 'globex')]
  begun = service.time.now
})
afterAll(() => service.close())
beforeEach(async () => {
  service.time.now = begun
  await service.database.sql.query('update api_token set revoked_at = created_at where expires_at is not null')
})

const create = (tenant: Tenant, ttlSeconds?: number) =>
  call(service, 'POST', '/v1/api-tokens', {
    token: tenant.adminToken,
    body: { name: 'ci', roles: ['operator'], ...(ttlSeconds === undefined ? {} : { ttlSeconds }) },
  })

describe('an API token', () => {
  test('lives for 90 days unless its maker wishes otherwise, for at most a year', async () => {
    const [tenant] = tenants
    expect((await create(tenant)).body.expiresAt).toBe(begun + 90 * DAY_MS)
    expect((await create(tenant, 365 * DAY_S)).body.expiresAt).toBe(begun + 365 * DAY_MS)
    expectRefusal(await create(tenant, 365 * DAY_S + 1), 400, 'malformed', 'ttlSeconds')
  })

  test('lives no longer than the service lets it, also without a wish', async () => {
    const strict = await startTestService({ apiTokenMaxDays: 30 })
    try {
      const body = { name: 'ci', roles: ['operator'] }
      const make = (ttlSeconds?: number) =>
        call(strict, 'POST', '/v1/api-tokens', { token: strict.adminToken, body: { ...body, ttlSeconds } })
      expect((await make()).body.expiresAt).toBe(strict.time.now + 30 * DAY_MS)
      expect((await make(30 * DAY_S)).status).toBe(201)
      expectRefusal(await make(30 * DAY_S + 1), 400, 'malformed', 'ttlSeconds')
      const { rows } = await strict.database.sql.query('select from api_token')
      expect(rows, 'the first admin and two').toHaveLength(3)
    } finally {
      await strict.close()
    }
  })

  test('of a first admin does not end, and neither do those of before that had no end', async () => {
    const [tenant] = tenants
    const { id, token } = await makeApiToken(tenant, ['operator'])
    await service.database.sql.query('update api_token set expires_at = null where id = $1', [id])
    service.time.now = begun + 3_650 * DAY_MS
    for (const one of [service.adminToken, tenant.adminToken, token]) {
      expect((await call(service, 'GET', '/v1/devices', { token: one })).status).toBe(200)
    }
    await service.database.sql.query('update api_token set revoked_at = now() where id = $1', [id])
  })

  test('that has ended is refused for every role, from that millisecond on', async () => {
    const [tenant] = tenants
    const { token, expiresAt } = await makeApiToken(tenant, ['admin', 'operator', 'coordinator', 'auditor'], 60)
    service.time.now = (expiresAt as number) - 1
    for (const path of ['/v1/api-tokens', '/v1/devices', '/v1/federations', '/v1/audit/events']) {
      expect((await call(service, 'GET', path, { token })).status, path).toBe(200)
    }
    service.time.now = expiresAt as number
    for (const path of ['/v1/api-tokens', '/v1/devices', '/v1/federations', '/v1/audit/events', '/v1/revocations']) {
      expect((await call(service, 'GET', path, { token })).status, path).toBe(401)
    }
    const body = { kind: 'device' }
    expectRefusal(await call(service, 'POST', '/v1/enrollment-tokens', { token, body }), 401, 'unauthenticated')
  })
})

describe('the end of an API token', () => {
  const parts = () => ({
    database: service.database.open('qflare_worker', 2),
    writeEvent: createEventWriter(crypto),
    logger: createLogger('silent'),
  })
  const tell = (withParts = parts()) => tellEndingApiTokens(withParts, service.time.now, async () => {})
  const told = async (tenant: Tenant) =>
    (await eventsOf(service, tenant.organizationId)).filter(({ type }) => type === 'api_token.ending')
  const ending = async () => {
    const metrics = createMetrics()
    observeApiTokens({ ...parts(), clock: { now: () => service.time.now }, metrics })
    return Number(/^qflare_api_tokens_ending (\d+)$/m.exec(await metrics.registry.metrics())?.[1])
  }

  test('is told two weeks ahead, once, to its own organization, and counted until it comes', async () => {
    const [acme, globex] = tenants
    const { id, expiresAt } = await makeApiToken(acme, ['operator'])
    const later = await makeApiToken(globex, ['auditor'], 91 * DAY_S)
    const end = expiresAt as number
    service.time.now = end - 14 * DAY_MS - 1
    await tell()
    expect([await told(acme), await ending()]).toEqual([[], 0])
    service.time.now += 1
    await Promise.all([tell(), tell(), tell()])
    await tell()
    const [event, ...more] = await told(acme)
    expect(event).toMatchObject({
      severity: 'notice',
      actor: { type: 'service' },
      subject: { apiTokenId: id },
      data: { name: 'operator', expiresAt: end },
    })
    expect([more, await told(globex), await ending()]).toEqual([[], [], 1])
    service.time.now = end
    await tell()
    expect((await told(globex)).map(({ subject }) => subject)).toEqual([{ apiTokenId: later.id }])
    expect([(await told(acme)).length, await ending()]).toEqual([1, 1])
  })

  test('is not told of one that is revoked, is over, or was made for four weeks or less', async () => {
    const [acme] = tenants
    const before = (await told(acme)).length
    const revoked = await makeApiToken(acme, ['operator'])
    await call(service, 'DELETE', `/v1/api-tokens/${revoked.id}`, { token: acme.adminToken })
    await makeApiToken(acme, ['operator'], 28 * DAY_S)
    await makeApiToken(acme, ['operator'], 28 * DAY_S + 1)
    service.time.now = begun + 28 * DAY_MS + 1_000
    await tell()
    expect([(await told(acme)).length - before, await ending()]).toEqual([0, 0])
    service.time.now -= 1_001
    await tell()
    expect([(await told(acme)).length - before, await ending()]).toEqual([1, 1])
  })

  test('is told again where its event was not stored', async () => {
    const [, globex] = tenants
    const before = (await told(globex)).length
    await makeApiToken(globex, ['operator'])
    service.time.now = begun + 80 * DAY_MS
    const writeEvent = () => {
      throw new Error('the process is gone')
    }
    await expect(tell({ ...parts(), writeEvent })).rejects.toThrow('the process is gone')
    await tell()
    expect((await told(globex)).length - before).toBe(1)
  })
})
