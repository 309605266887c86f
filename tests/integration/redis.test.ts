import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { createLogger } from '../../runtime/logger.ts'
import { openRedis, RedisError, readRedisSetting, waitForRedis } from '../../runtime/redis.ts'
import { hasRedis, startTestRedis, type TestRedis } from '../support/redis.ts'

describe.skipIf(!hasRedis)('a connection to Redis', () => {
  let server: TestRedis
  beforeAll(async () => {
    server = await startTestRedis()
  })
  afterAll(() => server.stop())

  function open(url = server.url) {
    const redis = openRedis({ url, name: 'test', logger: createLogger('silent') })
    onTestFinished(() => redis.disconnect())
    return redis
  }

  test('tells settings of the server', async () => {
    const redis = open()
    await waitForRedis(redis, 'test')
    expect(await readRedisSetting(redis, 'maxmemory-policy')).toBe('noeviction')
    await expect(readRedisSetting(redis, 'no-such-setting')).rejects.toThrow(RedisError)
  })

  test('fails at once while the server is away, and works again when it is back', async () => {
    const redis = open()
    await waitForRedis(redis, 'test')
    await server.kill()
    await expect(redis.get('x')).rejects.toThrow()
    await server.restart()
    await waitForRedis(redis, 'test')
    expect(await redis.get('x')).toBe(null)
  })

  test('says within its time that nothing is there', async () => {
    await expect(waitForRedis(open('redis://127.0.0.1:1'), 'test', 200)).rejects.toThrow(
      /^Redis \(test\) cannot be reached: .*ECONNREFUSED/,
    )
  })
})
