import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toBase64url } from '../../protocol/encoding.ts'
import {
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
import { expectLimited, from, limitedCount, limitHeaders, startLimited } from '../support/rate-limits.ts'
import { databaseContents, expectRefusal } from '../support/refusals.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

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
    const untrusting = await startLimited({ trustProxy: ['192.0.2.1'], limits: { address: 2 } })
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

  test('is stopped, and nobody else is, also behind his address', async () => {
    const guesser = '203.0.113.1'
    for (let i = 0; i < 3; i++) expectRefusal(await listDevices(wrongToken(), guesser), 401, 'unauthenticated')
    for (let i = 0; i < 2; i++) expectLimited(await listDevices(wrongToken(), guesser), 3, /API tokens/)
    expect((await listDevices(service.adminToken, guesser)).status).toBe(200)
    expectRefusal(await listDevices(wrongToken(), '203.0.113.2'), 401, 'unauthenticated')
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
    expect((await listDevices(wrongToken())).status).toBe(429)
    const { accessToken } = await establish(service, device)
    const own = await call(service, 'GET', `/v1/devices/${device.deviceId}`, { token: accessToken })
    expect(own.status).toBe(200)
    expect((await call(service, 'POST', '/v1/enrollments', { body: { token: credential } })).status).toBe(201)
  })
})

describe('a device', () => {
  test('that exchanges too often is refused without anything stored, and others are served', async () => {
    const service = await startLimited({ limits: { device: 2 } })
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
    const service = await startLimited({ limits: { device: 1, organization: 4 } })
    const device = await enrollTestDevice(service)
    const { wire } = await initiate(service, device)
    for (let i = 0; i < 6; i++) {
      const forged = { ...wire, signature: flipBit(wire.signature as string, i) }
      expectRefusal(await sendExchange(service, forged), 401, 'exchange_refused')
    }
    const answer = await sendExchange(service, wire)
    expect([answer.status, ...limitHeaders(answer)]).toEqual([201, 1, 0])
    for (let i = 0; i < 6; i++) expectRefusal(await sendExchange(service, wire), 409, 'replayed')
  })

  test('cannot be locked out by copies of what it sends, also when they come at once', async () => {
    let imported = 0
    const importVerificationKey: typeof crypto.importVerificationKey = (...key) => {
      imported++
      return crypto.importVerificationKey(...key)
    }
    const counting = { ...crypto, importVerificationKey }
    const service = await startLimited({ limits: { device: 2, organization: 50 }, crypto: counting })
    const device = await enrollTestDevice(service)
    const { wire } = await initiate(service, device)
    imported = 0
    const copies = await Promise.all(Array.from({ length: 60 }, () => sendExchange(service, wire)))
    const statuses = Object.groupBy(copies, ({ status }) => status)
    expect(Object.keys(statuses)).toEqual(['201', '409'])
    expect(statuses[201]).toHaveLength(1)
    for (const copy of statuses[409] ?? []) expectRefusal(copy, 409, 'replayed')
    expect(imported, 'one signature was looked at').toBe(1)
    const genuine = await sendExchange(service, (await initiate(service, device)).wire)
    expect([genuine.status, ...limitHeaders(genuine)]).toEqual([201, 2, 0])
  })

  test('is not kept out by a copy with another signature that is under way', async () => {
    const service = await startLimited({})
    const device = await enrollTestDevice(service)
    const { wire } = await initiate(service, device)
    const { sql } = service.database
    const waiting = `select 1 from pg_locks where not granted and relation = 'principal'::regclass`
    await sql.query('begin; lock table principal in access exclusive mode')
    const forged = sendExchange(service, { ...wire, signature: flipBit(wire.signature as string) })
    await expect.poll(async () => (await sql.query(waiting)).rowCount, { timeout: 10_000 }).toBe(1)
    const genuine = sendExchange(service, wire)
    await expect.poll(async () => (await sql.query(waiting)).rowCount, { timeout: 10_000 }).toBe(2)
    expectRefusal(await sendExchange(service, wire), 409, 'replayed')
    await sql.query('rollback')
    expectRefusal(await forged, 401, 'exchange_refused')
    expect((await genuine).status).toBe(201)
  })

  test('is charged for a message when it is stored, and not while its organization is over the limit', async () => {
    const service = await startLimited({ limits: { device: 2, organization: 1 } })
    const device = await enrollTestDevice(service)
    const { wire } = await initiate(service, device)
    // Were these charged to the device, it would be the device's limit that is over.
    for (let i = 0; i < 4; i++) expectLimited(await sendExchange(service, wire), 1, /organization/)
  })

  test('is limited in what it calls with its access token', async () => {
    const service = await startLimited({ limits: { device: 3 } })
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
