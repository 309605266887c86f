import { randomBytes } from 'node:crypto'
import { type AddressInfo, connect } from 'node:net'
import { pipeline } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { createServer, setDefaultCACertificates } from 'node:tls'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createLogger } from '../../runtime/logger.ts'
import { openRedis, RedisError, readRedisSetting, waitForRedis } from '../../runtime/redis.ts'
import { hasRedis, startTestRedis, type TestRedis } from '../support/redis.ts'
import { makeServerCredential } from '../support/tls-files.ts'

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

/** The port of what ends TLS before a Redis: Debian's knows no certificate of ours. */
async function endTlsBefore({ url }: TestRedis): Promise<number> {
  const { certificate, privateKey, caCertificate } = makeServerCredential()
  setDefaultCACertificates([caCertificate])
  const front = createServer({ cert: certificate, key: privateKey }, (socket) => {
    const back = connect(Number(new URL(url).port), '127.0.0.1')
    pipeline(socket, back, socket, () => {})
  })
  await new Promise<void>((resolve) => front.listen(0, 'localhost', resolve))
  onTestFinished(() => void front.close())
  return (front.address() as AddressInfo).port
}

describe.skipIf(!hasRedis).each(['redis', 'rediss'])('a connection over %s:// that wipes', (protocol) => {
  async function start(): Promise<TestRedis & { open(answerWithinMs?: number): Promise<Redis> }> {
    const server = await startTestRedis()
    onTestFinished(() => server.stop())
    const url = protocol === 'redis' ? server.url : `rediss://localhost:${await endTlsBefore(server)}`
    async function open(answerWithinMs = 30_000) {
      const redis = openRedis({ url, name: 'test', logger: createLogger('silent'), answerWithinMs, wipes: true })
      onTestFinished(() => redis.disconnect())
      await waitForRedis(redis, 'test')
      return redis
    }
    return { ...server, open }
  }

  test('has wiped an answer in the next turn, and what it wrote', async () => {
    const redis = await (await start()).open()
    const value = randomBytes(99)
    const written: Uint8Array[] = []
    const { write } = redis.stream
    redis.stream.write = (data: Uint8Array) => {
      written.push(data)
      return write.call(redis.stream, data)
    }
    await redis.set('key', value)
    expect(written).toHaveLength(1)
    expect(written[0]).toEqual(Buffer.alloc(written[0]?.length ?? 0))
    const answer = await redis.getBuffer('key')
    expect(answer).toEqual(value)
    await setImmediate()
    expect(answer).toEqual(Buffer.alloc(99))
  })

  test('brings answers that come in many parts whole, and those that come many at once apart', async () => {
    const redis = await (await start()).open()
    const long = randomBytes(300_000).toString('latin1')
    await redis.set('long', long)
    expect(await redis.get('long')).toBe(long)
    const numbers = Array.from({ length: 200 }, (_, index) => index)
    const answers = await Promise.all(numbers.map((each) => redis.echo(`${each} `.repeat(each))))
    expect(answers).toEqual(numbers.map((each) => `${each} `.repeat(each)))
    expect(await redis.multi().set('one', 'of them').get('one').exec()).toEqual([
      [null, 'OK'],
      [null, 'of them'],
    ])
  })

  test('gives up what was asked of a Redis that went away, and asks it no second time', async () => {
    const server = await start()
    const redis = await server.open(500)
    await server.client.del('count')
    server.pause()
    const answer = redis.incr('count').catch((error: unknown) => error)
    redis.stream.destroy()
    expect(await answer).toBeInstanceOf(Error)
    server.resume()
    await vi.waitFor(async () => expect(await redis.ping()).toBe('PONG'), 10_000)
    expect(['1', null]).toContain(await redis.get('count'))
  })
})
