import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createLogger } from '../../runtime/logger.ts'
import { createOptionalRedis, OPTIONAL_ANSWER_MS, type OptionalRedis } from '../../runtime/optional-redis.ts'
import { openRedis, waitForRedis } from '../../runtime/redis.ts'
import { createSharedRateLimit } from '../../server/shared-rate-limit.ts'
import { call } from '../support/api.ts'
import { expectLimited, limitHeaders } from '../support/rate-limits.ts'
import { hasRedis, startTestRedis, type TestRedis } from '../support/redis.ts'
import { startTestService, type TestService } from '../support/service.ts'

const LIMIT = 6
const WITHIN = { timeout: 10_000, interval: 50 }

describe.skipIf(!hasRedis)('limits of nodes that share a Redis', () => {
  let server: TestRedis
  beforeAll(async () => {
    server = await startTestRedis()
  })
  afterAll(() => server.stop())
  beforeEach(async () => {
    await server.client.flushall()
  })

  /** One process's view of a limit. */
  async function openLimit(limit: number, prefix = 'test') {
    const redis = openRedis({
      url: server.url,
      name: 'limits',
      logger: createLogger('silent'),
      answerWithinMs: OPTIONAL_ANSWER_MS,
    })
    await waitForRedis(redis, 'limits')
    const shared = createOptionalRedis(redis, 'limits', createLogger('silent'))
    onTestFinished(() => {
      shared.close()
      redis.disconnect()
    })
    return { limit: createSharedRateLimit(limit, { redis, shared, prefix }), shared }
  }
  const isAsked = (shared: OptionalRedis) =>
    vi.waitFor(async () => expect(await shared.ask((redis) => redis.ping())).toEqual({ answer: 'PONG' }), WITHIN)

  test('count together: what one lets through the others have less of', async () => {
    const nodes = [await openLimit(3), await openLimit(3), await openLimit(3)]
    const states = []
    for (let i = 0; i < 5; i++) states.push(await nodes[i % 3]?.limit.take('a'))
    expect(states.map((state) => [state?.remaining, state?.isExceeded])).toEqual([
      [2, false],
      [1, false],
      [0, false],
      [0, true],
      [0, true],
    ])
    for (const { limit } of nodes) expect(await limit.peek('a')).toMatchObject({ remaining: 0, isExceeded: true })
    expect(await nodes[0]?.limit.take('b')).toMatchObject({ remaining: 2, isExceeded: false })
  })

  test('let exactly their number through of requests that come to all at once', async () => {
    const nodes = [await openLimit(20), await openLimit(20), await openLimit(20)]
    const states = await Promise.all(Array.from({ length: 60 }, async (_, i) => nodes[i % 3]?.limit.take('a')))
    expect(states.filter((state) => state?.isExceeded === false)).toHaveLength(20)
  })

  test('take back what is given back, and look without counting', async () => {
    const [one, other] = [await openLimit(1), await openLimit(1)]
    expect(await one.limit.take('a')).toMatchObject({ isExceeded: false })
    await one.limit.take('a', -1)
    expect(await other.limit.peek('a')).toMatchObject({ remaining: 1, isExceeded: false })
    expect(await other.limit.take('a')).toMatchObject({ isExceeded: false })
    expect(await one.limit.take('a')).toMatchObject({ isExceeded: true })
  })

  test('end: a count is gone from Redis with its minute', async () => {
    const { limit } = await openLimit(3)
    await limit.take('a')
    const [key] = await server.client.keys('*')
    expect(key).toBe('test:a')
    const left = await server.client.pttl('test:a')
    expect([left > 50_000, left <= 60_000]).toEqual([true, true])
  })

  test('are never off: without Redis each node goes on with what it counted itself, and together again afterwards', async () => {
    const [one, other] = [await openLimit(LIMIT), await openLimit(LIMIT)]
    for (let i = 0; i < 4; i++) await one.limit.take('a')
    await server.kill()
    const alone = []
    for (let i = 0; i < 4; i++) alone.push((await one.limit.take('a')).isExceeded)
    expect(alone).toEqual([false, false, true, true])
    for (let i = 0; i < LIMIT; i++) expect(await other.limit.take('a')).toMatchObject({ isExceeded: false })
    expect(await other.limit.take('a')).toMatchObject({ isExceeded: true })
    await server.restart()
    await Promise.all([isAsked(one.shared), isAsked(other.shared)])
    // Redis forgot everything; whoever was over the limit is not let through for that.
    expect(await one.limit.take('a')).toMatchObject({ isExceeded: true })
    for (let i = 0; i < LIMIT; i++) await one.limit.take('b')
    expect(await other.limit.take('b')).toMatchObject({ isExceeded: true })
  })

  test('do not wait for a Redis that hangs, but the first time; nobody asks it until it answers again', async () => {
    const { limit, shared } = await openLimit(1_000)
    await limit.take('a')
    server.pause()
    onTestFinished(() => server.resume())
    const asked = vi.fn((redis: { ping(): Promise<string> }) => redis.ping())
    for (let i = 0; i < 500; i++) expect(await limit.take('a')).toMatchObject({ isExceeded: false })
    for (let i = 0; i < 500; i++) await shared.ask(asked)
    expect(asked).not.toHaveBeenCalled()
    expect(await limit.take('a')).toMatchObject({ remaining: 1_000 - 502 })
    server.resume()
    await isAsked(shared)
    await limit.take('shared again')
    expect(await server.client.get('test:shared again')).toBe('1')
  })

  test('go on with a Redis that is full', async () => {
    const { limit, shared } = await openLimit(2)
    await server.client.config('SET', 'maxmemory', '1')
    onTestFinished(async () => void (await server.client.config('SET', 'maxmemory', '0')))
    const states = []
    for (let i = 0; i < 3; i++) states.push((await limit.take('a')).isExceeded)
    expect(states).toEqual([false, false, true])
    await server.client.config('SET', 'maxmemory', '0')
    await isAsked(shared)
  })

  describe('over HTTP', () => {
    let service: TestService
    let nodes: { url: string }[]
    beforeEach(async () => {
      service = await startTestService({ redisUrl: server.url, limits: { apiToken: LIMIT } })
      nodes = [service, await service.startNode({ redisUrl: server.url, limits: { apiToken: LIMIT } })]
      onTestFinished(() => service.close())
    })
    const ask = (node: number) =>
      call(nodes[node] as { url: string }, 'GET', '/v1/devices', { token: service.adminToken })

    test('who may not do what he asks leaves one event a minute, whichever node he asks', async () => {
      const { body } = await call(service, 'POST', '/v1/api-tokens', {
        token: service.adminToken,
        body: { name: 'reader', roles: ['auditor'] },
      })
      for (const node of [...nodes, ...nodes]) {
        expect((await call(node, 'GET', '/v1/devices', { token: body.token })).status).toBe(403)
      }
      const { rows } = await service.database.sql.query(
        `select from audit_outbox where entry::jsonb ->> 'type' = 'access.refused'`,
      )
      expect(rows).toHaveLength(1)
    })

    test('a node that never reaches Redis starts, and has its limits', async () => {
      const lonely = await service.startNode({ redisUrl: 'redis://127.0.0.1:1', limits: { apiToken: 2 } })
      const statuses = []
      for (let i = 0; i < 3; i++) {
        statuses.push((await call(lonely, 'GET', '/v1/devices', { token: service.adminToken })).status)
      }
      expect(statuses).toEqual([200, 200, 429])
    })

    test('a token that used up its limit at one node is refused at the other, also once Redis is gone', async () => {
      const remaining = []
      for (let i = 0; i < LIMIT; i++) remaining.push(limitHeaders(await ask(i % 2))[1])
      expect(remaining).toEqual([5, 4, 3, 2, 1, 0])
      for (const node of [0, 1]) expectLimited(await ask(node), LIMIT, /API token/)
      await server.kill()
      onTestFinished(() => server.restart())
      const statuses = []
      for (let i = 0; i < 2 * LIMIT; i++) statuses.push((await ask(i % 2)).status)
      expect([statuses.slice(0, 3), statuses.slice(-3)]).toEqual([
        [200, 200, 200],
        [429, 429, 429],
      ])
    })
  })
})
