import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { insertApiToken } from '../../database/repositories/api-tokens.ts'
import { insertDirectoryEntry } from '../../database/repositories/directory.ts'
import { insertOrganization } from '../../database/repositories/organizations.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { newId } from '../../runtime/ids.ts'
import {
  type Answer,
  call,
  confirm,
  createToken,
  enrollTestDevice,
  establish,
  flipBit,
  initiate,
  openExchange,
  sendExchange,
} from '../support/api.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

async function start(options: Parameters<typeof startTestService>[0]): Promise<TestService> {
  const service = await startTestService({ trustProxy: ['127.0.0.1'], ...options })
  onTestFinished(() => service.close())
  return service
}

const from = (address: string) => ({ headers: { 'x-forwarded-for': address } })

function expectLimited(answer: Answer, limit: number, detail: RegExp): void {
  expectRefusal(answer, 429, 'rate_limited')
  expect(answer.body.detail).toMatch(detail)
  expect(limitHeaders(answer)).toEqual([limit, 0])
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
  expect(Number(answer.headers.get('retry-after'))).toBeLessThanOrEqual(60)
  expect(answer.headers.get('ratelimit-reset')).toBe(answer.headers.get('retry-after'))
}

/** Limit and remaining. */
function limitHeaders({ headers }: Answer): (number | undefined)[] {
  return ['ratelimit-limit', 'ratelimit-remaining'].map((name) =>
    headers.has(name) ? Number(headers.get(name)) : undefined,
  )
}

async function limitedCount(service: TestService, limit: string): Promise<number> {
  const { body } = await call(service, 'GET', '/metrics')
  return Number(new RegExp(`^qflare_rate_limited_total\\{limit="${limit}"\\} (\\d+)$`, 'm').exec(body)?.[1] ?? 0)
}

describe('an address', () => {
  let service: TestService
  beforeAll(async () => {
    service = await startTestService({ trustProxy: ['127.0.0.1'], limits: { address: 3 } })
  })
  afterAll(() => service.close())

  test('that asks too often is answered 429, whatever it asks, and others are served', async () => {
    const ask = (address: string, path = '/v1/buckets') => call(service, 'GET', path, from(address))
    const paths = ['/v1/buckets', '/v1/unknown', '/v1/devices']
    for (const [index, path] of paths.entries()) {
      expect(limitHeaders(await ask('203.0.113.7', path)), path).toEqual([3, 2 - index])
    }
    const contents = await databaseContents(service)
    for (const path of paths) expectLimited(await ask('203.0.113.7', path), 3, /address/)
    const token = { token: service.adminToken, body: { kind: 'device' } }
    const posted = await call(service, 'POST', '/v1/enrollment-tokens', { ...token, ...from('203.0.113.7') })
    expectLimited(posted, 3, /address/)
    expect(await databaseContents(service)).toEqual(contents)
    expect(limitHeaders(await ask('203.0.113.8'))).toEqual([3, 2])
    expect(await limitedCount(service, 'address')).toBe(4)
  })

  test('of IPv6 is one network of /64', async () => {
    const ask = (address: string) => call(service, 'GET', '/v1/buckets', from(address))
    expect((await ask('2001:db8:0:1::1')).status).toBe(200)
    expect((await ask('2001:db8:0:1:ffff::2')).status).toBe(200)
    expect((await ask('2001:db8:0:1:0:1:0:3')).status).toBe(200)
    expect((await ask('2001:db8:0:1:abcd:ef01:2345:6789')).status).toBe(429)
    expect((await ask('2001:db8:0:2::1')).status).toBe(200)
  })

  test('is what the trusted proxy says, not what the client says', async () => {
    const ask = (forwarded: string) => call(service, 'GET', '/v1/buckets', from(forwarded))
    const statuses: number[] = []
    for (let i = 0; i < 4; i++) statuses.push((await ask(`198.51.100.${i}, 203.0.113.9`)).status)
    expect(statuses).toEqual([200, 200, 200, 429])
    const untrusting = await start({ trustProxy: ['192.0.2.1'], limits: { address: 2 } })
    const direct: number[] = []
    for (let i = 0; i < 4; i++) {
      direct.push((await call(untrusting, 'GET', '/v1/buckets', from(`198.51.100.${i}`))).status)
    }
    expect(direct).toEqual([200, 200, 429, 429])
  })

  test('may ask for health and metrics as often as it likes', async () => {
    for (let i = 0; i < 3; i++) await call(service, 'GET', '/v1/buckets')
    expect((await call(service, 'GET', '/v1/buckets')).status).toBe(429)
    for (const path of ['/live', '/ready', '/metrics', '/version']) {
      for (let i = 0; i < 3; i++) {
        const answer = await call(service, 'GET', path)
        expect([answer.status, ...limitHeaders(answer)], path).toEqual([200, undefined, undefined])
      }
    }
  })
})

describe('who guesses API tokens', () => {
  let service: TestService
  beforeAll(async () => {
    service = await startTestService({ trustProxy: ['127.0.0.1'], limits: { addressRefused: 3 } })
  })
  afterAll(() => service.close())

  const wrongToken = () => `${service.adminToken.slice(0, 40)}${toBase64url(crypto.randomBytes(32))}`
  const listDevices = (token: string, address = '127.0.0.1') =>
    call(service, 'GET', '/v1/devices?limit=1', { token, ...from(address) })

  test('is stopped, with API tokens of his address, and nobody else is', async () => {
    const guesser = '203.0.113.1'
    for (let i = 0; i < 3; i++) expectRefusal(await listDevices(wrongToken(), guesser), 401, 'unauthenticated')
    expectLimited(await listDevices(wrongToken(), guesser), 3, /API tokens/)
    expectLimited(await listDevices(service.adminToken, guesser), 3, /API tokens/)
    expect((await listDevices(service.adminToken, '203.0.113.2')).status).toBe(200)
    expect(await limitedCount(service, 'address_refused')).toBe(2)
  })

  test('gets no more guesses by sending them at once', async () => {
    const guesses = Array.from({ length: 30 }, () => listDevices(wrongToken(), '203.0.113.3'))
    const answers = await Promise.all(guesses)
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(3)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(27)
  })

  test('is not he whose tokens are right, or who sends none, or another’s kind', async () => {
    const device = await enrollTestDevice(service)
    const { accessToken } = await establish(service, device)
    for (let i = 0; i < 5; i++) {
      expect((await listDevices(service.adminToken)).status).toBe(200)
      expect((await listDevices(flipBit(accessToken.slice(3)))).status).toBe(401)
      expect((await listDevices(`qs_${flipBit(accessToken.slice(3))}`)).status).toBe(401)
      expect((await call(service, 'GET', '/v1/devices')).status).toBe(401)
      expect((await listDevices(accessToken)).status).toBe(403)
    }
    expect((await listDevices(service.adminToken)).status).toBe(200)
  })

  test('does not lock out the devices behind the same address', async () => {
    const device = await enrollTestDevice(service)
    const { credential } = await createToken(service)
    for (let i = 0; i < 5; i++) await listDevices(wrongToken())
    expect((await listDevices(service.adminToken)).status).toBe(429)
    const { accessToken } = await establish(service, device)
    const own = await call(service, 'GET', `/v1/devices/${device.deviceId}`, { token: accessToken })
    expect(own.status).toBe(200)
    expect((await call(service, 'POST', '/v1/enrollments', { body: { token: credential } })).status).toBe(201)
  })
})

describe('a device', () => {
  test('that exchanges too often is refused without anything stored, and others are served', async () => {
    const service = await start({ limits: { device: 2 } })
    const [device, other] = [await enrollTestDevice(service), await enrollTestDevice(service)]
    const opened = await openExchange(service, device)
    await openExchange(service, device)
    const { wire } = await initiate(service, device)
    const contents = await databaseContents(service)
    expectLimited(await sendExchange(service, wire), 2, /device/)
    expect(await databaseContents(service)).toEqual(contents)
    expect((await confirm(service, device, opened)).status, 'a confirmation is not limited').toBe(200)
    await establish(service, other)
    expect(await limitedCount(service, 'device')).toBe(1)
  })

  test('cannot be locked out by what others send in its name', async () => {
    const service = await start({ limits: { device: 1, organization: 4 } })
    const device = await enrollTestDevice(service)
    const { wire } = await initiate(service, device)
    for (let i = 0; i < 6; i++) {
      const forged = { ...wire, signature: flipBit(wire.signature as string, i) }
      expectRefusal(await sendExchange(service, forged), 401, 'exchange_refused')
    }
    expect((await sendExchange(service, wire)).status).toBe(201)
    for (let i = 0; i < 6; i++) expectRefusal(await sendExchange(service, wire), 409, 'replayed')
  })

  test('is limited in what it calls with its access token', async () => {
    const service = await start({ limits: { device: 3 } })
    const device = await enrollTestDevice(service)
    const { accessToken } = await establish(service, device)
    const ask = () => call(service, 'GET', `/v1/devices/${device.deviceId}`, { token: accessToken })
    expect(limitHeaders(await ask())).toEqual([3, 1])
    expect(limitHeaders(await ask())).toEqual([3, 0])
    expectLimited(await ask(), 3, /device/)
    const asAdmin = await call(service, 'GET', `/v1/devices/${device.deviceId}`, { token: service.adminToken })
    expect(asAdmin.status, 'of whom others ask').toBe(200)
  })
})

describe('an organization', () => {
  test('is limited in all that its people and devices ask, and another is not', async () => {
    const service = await start({ limits: { organization: 6 } })
    const foreign = await makeOrganization(service)
    const device = await enrollTestDevice(service)
    const { accessToken } = await establish(service, device)
    // The enrolment token, the exchange, and these.
    const answers = [service.adminToken, accessToken, service.adminToken, accessToken].map((token) => async () => {
      return limitHeaders(await call(service, 'GET', '/v1/sessions', { token }))
    })
    const seen: unknown[] = []
    for (const ask of answers) seen.push(await ask())
    expect(seen).toEqual([3, 2, 1, 0].map((remaining) => [6, remaining]))
    for (const token of [service.adminToken, accessToken]) {
      expectLimited(await call(service, 'GET', '/v1/sessions', { token }), 6, /organization/)
    }
    const { wire } = await initiate(service, device)
    const contents = await databaseContents(service)
    expectLimited(await sendExchange(service, wire), 6, /organization/)
    expect(await databaseContents(service)).toEqual(contents)
    expect((await call(service, 'GET', '/v1/sessions', { token: foreign })).status).toBe(200)
    expect((await call(service, 'GET', '/v1/trust')).status, 'what anyone may ask').toBe(200)
    expect(await limitedCount(service, 'organization')).toBe(3)
  })

  test('is not charged for tokens that are refused', async () => {
    const service = await start({ limits: { organization: 2 } })
    const wrong = `${service.adminToken.slice(0, -4)}AAAA`
    for (let i = 0; i < 5; i++) await call(service, 'GET', '/v1/sessions', { token: wrong })
    expect(limitHeaders(await call(service, 'GET', '/v1/sessions', { token: service.adminToken }))).toEqual([2, 1])
  })
})

test('of several limits the headers tell the one of which the least is left', async () => {
  const service = await start({ limits: { address: 10, organization: 50 } })
  const ask = (address: string) => call(service, 'GET', '/v1/sessions', { token: service.adminToken, ...from(address) })
  expect(limitHeaders(await ask('203.0.113.1'))).toEqual([10, 9])
  for (let i = 2; i <= 43; i++) await ask(`203.0.113.${i}`)
  expect(limitHeaders(await ask('203.0.113.200'))).toEqual([50, 6])
})

/** The API token of an admin of another organization. */
async function makeOrganization(service: TestService): Promise<string> {
  const worker = service.database.open('qflare_worker', 2)
  const [organizationId, id] = [newId(), newId()]
  const secret = `${id}.${toBase64url(crypto.randomBytes(32))}`
  const secretHash = crypto.hash256(new TextEncoder().encode(secret))
  const createdAt = service.time.now
  await worker.withOrganization(organizationId, async (tx) => {
    await insertOrganization(tx, { id: organizationId, name: 'foreign', createdAt })
    await insertDirectoryEntry(tx, id, organizationId)
    const token = { id, organizationId, name: 'test', roles: ['admin' as const], isServiceAdmin: false, secretHash }
    await insertApiToken(tx, { ...token, createdAt, expiresAt: undefined, revokedAt: undefined })
  })
  return `qf_${secret}`
}
