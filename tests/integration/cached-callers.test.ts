import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { call, enrollTestDevice, establish } from '../support/api.ts'
import { hasRedis, startTestRedis, type TestRedis } from '../support/redis.ts'
import { expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

const WITHIN = { timeout: 10_000, interval: 20 }

describe.skipIf(!hasRedis)('a caller that two nodes know', () => {
  let server: TestRedis
  let service: TestService
  let other: { url: string }
  beforeAll(async () => {
    server = await startTestRedis()
    service = await startTestService({ redisUrl: server.url })
    other = await service.startNode({ redisUrl: server.url })
    // Both hear the news.
    await vi.waitFor(async () => {
      const channels = (await server.client.pubsub('CHANNELS', '*')) as string[]
      const [, count] = (await server.client.pubsub('NUMSUB', ...channels)) as [string, number]
      expect(count).toBe(2)
    }, WITHIN)
  })
  afterAll(async () => {
    await service.close()
    await server.stop()
  })

  /** The time that the caches go by; it stands still, so that nothing ends by itself. */
  function stopCacheTime(): { now: number } {
    const time = { now: performance.now() }
    const spy = vi.spyOn(performance, 'now').mockImplementation(() => time.now)
    onTestFinished(() => spy.mockRestore())
    return time
  }
  async function createApiToken(ttlSeconds?: number): Promise<{ id: string; token: string }> {
    const body = { name: 'script', roles: ['operator'], ...(ttlSeconds === undefined ? {} : { ttlSeconds }) }
    return (await call(service, 'POST', '/v1/api-tokens', { token: service.adminToken, body })).body
  }
  const ask = (node: { url: string }, token: string) => call(node, 'GET', '/v1/devices', { token })
  const revoke = async (id: string) =>
    expect((await call(service, 'DELETE', `/v1/api-tokens/${id}`, { token: service.adminToken })).status).toBe(204)

  test('is looked up once, and refused everywhere as soon as the news of its end is there', async () => {
    stopCacheTime()
    const { id, token } = await createApiToken()
    for (const node of [service, other]) expect((await ask(node, token)).status).toBe(200)
    await service.database.sql.query(`update api_token set roles = '{auditor}' where id = $1`, [id])
    for (const node of [service, other]) expect((await ask(node, token)).status).toBe(200)
    await revoke(id)
    expectRefusal(await ask(service, token), 401, 'unauthenticated')
    await vi.waitFor(async () => expectRefusal(await ask(other, token), 401, 'unauthenticated'), WITHIN)
  })

  test('is refused everywhere a second after its end when Redis is away, and changes nothing from its end on', async () => {
    const time = stopCacheTime()
    const { id, token } = await createApiToken()
    for (const node of [service, other]) expect((await ask(node, token)).status).toBe(200)
    await server.kill()
    onTestFinished(() => server.restart())
    await revoke(id)
    expectRefusal(await ask(service, token), 401, 'unauthenticated')
    const change = { token, body: { kind: 'device' } }
    expectRefusal(await call(other, 'POST', '/v1/enrollment-tokens', change), 401, 'unauthenticated')
    time.now += 1_000
    expectRefusal(await ask(other, token), 401, 'unauthenticated')
  })

  test('with another secret than the token’s is refused, however often the right one was seen', async () => {
    stopCacheTime()
    const { token } = await createApiToken()
    expect((await ask(other, token)).status).toBe(200)
    const wrong = `${token.slice(0, -2)}${token.endsWith('AA') ? 'BB' : 'AA'}`
    expectRefusal(await ask(other, wrong), 401, 'unauthenticated')
    expect((await ask(other, token)).status).toBe(200)
  })

  test('ends with its time, also where it is remembered', async () => {
    stopCacheTime()
    const { token } = await createApiToken(60)
    expect((await ask(other, token)).status).toBe(200)
    service.time.now += 60_000
    expectRefusal(await ask(other, token), 401, 'unauthenticated')
  })

  test('that is a device is not remembered: revoked at one node it is refused at the other at once', async () => {
    stopCacheTime()
    const device = await enrollTestDevice(service)
    const { accessToken } = await establish(service, device)
    const look = () => call(other, 'GET', `/v1/devices/${device.deviceId}`, { token: accessToken })
    expect((await look()).status).toBe(200)
    const revoked = await call(service, 'POST', `/v1/devices/${device.deviceId}/revoke`, {
      token: service.adminToken,
      body: {},
    })
    expect(revoked.status).toBe(200)
    expectRefusal(await look(), 401, 'unauthenticated')
  })

  test('without REDIS_URL is looked up each time', async () => {
    stopCacheTime()
    const plain = await service.startNode()
    const { id, token } = await createApiToken()
    expect((await ask(plain, token)).status).toBe(200)
    await revoke(id)
    expectRefusal(await ask(plain, token), 401, 'unauthenticated')
  })
})
