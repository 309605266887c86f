import { randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createConnection, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { BUCKET_MS, bucketAt, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import { createLogger } from '../../runtime/logger.ts'
import { openRedis, RedisError, waitForRedis } from '../../runtime/redis.ts'
import { openRedisTemporalKeyStore } from '../../runtime/temporal/redis-temporal-key-store.ts'
import { TemporalStoreError } from '../../runtime/temporal/temporal-key-store.ts'
import { whyUnreadable } from '../support/process-memory.ts'
import { hasRedis, startTestRedis, type TestRedis } from '../support/redis.ts'
import { searchMemory } from '../support/search-places.ts'
import { describeTemporalKeyStore } from '../support/temporal-key-store-contract.ts'

const number = bucketAt(Date.now())
const name = { kind: 'epoch', number, generation: 0 } as const

const makeRecord = () => new Uint8Array(randomBytes(67))

describe.skipIf(!hasRedis)('temporal keys in Redis', () => {
  let server: TestRedis
  beforeAll(async () => {
    server = await startTestRedis()
  })
  afterAll(() => server.stop())

  async function connect(to = server): Promise<Redis> {
    const redis = openRedis({
      url: to.url,
      name: 'temporal',
      logger: createLogger('silent'),
      answerWithinMs: 300,
      wipes: true,
    })
    onTestFinished(() => redis.disconnect())
    await waitForRedis(redis, 'temporal')
    return redis
  }
  async function startOther(settings: Record<string, string> = {}): Promise<TestRedis> {
    const other = await startTestRedis(settings)
    onTestFinished(() => other.stop())
    return other
  }

  describeTemporalKeyStore('Redis', async () => {
    const rootKid = randomUUID()
    return { open: async () => openRedisTemporalKeyStore(await connect(), rootKid) }
  })

  test('roots of trust on one Redis see nothing of each other', async () => {
    const [one, other] = [
      await openRedisTemporalKeyStore(await connect(), 'one'),
      await openRedisTemporalKeyStore(await connect(), 'other'),
    ]
    const record = makeRecord()
    expect(await one.makeOnce(name, record)).toEqual(record)
    expect(await other.list()).toEqual([])
    expect(await other.makeOnce(name, makeRecord())).not.toEqual(record)
    expect(await other.destroy(name)).toBe(true)
    expect(await one.find(name)).toEqual(record)
  })

  test('many writers on many connections make one record of each key, and everybody gets that', async () => {
    const rootKid = randomUUID()
    const stores = await Promise.all(
      Array.from({ length: 8 }, async () => openRedisTemporalKeyStore(await connect(), rootKid)),
    )
    const names = Array.from({ length: 10 }, (_, ahead) => ({ ...name, number: number + ahead }))
    const answers = await Promise.all(
      stores.map((store) => Promise.all(names.map((each) => store.makeOnce(each, makeRecord())))),
    )
    for (const [index, each] of names.entries()) {
      const distinct = new Set(answers.map((records) => Buffer.from(records[index] as Uint8Array).toString('hex')))
      const stored = await stores[0]?.find(each)
      expect([...distinct]).toEqual([Buffer.from(stored as Uint8Array).toString('hex')])
    }
    expect(await stores[1]?.list()).toHaveLength(10)
  })

  test('a record that nobody destroys is gone ten minutes after its grace, by the clock of Redis alone', async () => {
    const rootKid = randomUUID()
    const store = await openRedisTemporalKeyStore(await connect(), rootKid)
    await store.makeOnce({ ...name, number: number + 3 }, makeRecord())
    const [key] = await server.client.keys(`*${rootKid}*`)
    expect(await server.client.pexpiretime(key as string)).toBe((number + 4) * BUCKET_MS + GRACE_MS + 600_000)
  })

  test('a key whose time is over by the clock of Redis is not made, and that is said', async () => {
    const store = await openRedisTemporalKeyStore(await connect(), randomUUID())
    await expect(store.makeOnce({ ...name, number: number - 10 }, makeRecord())).rejects.toThrow(
      `did not keep epoch-${number - 10}-0: is its clock right`,
    )
    expect(await store.list()).toEqual([])
  })

  test('what somebody else put in the place of a record, of whatever type, is read as none that opens, and can be destroyed', async () => {
    const rootKid = randomUUID()
    const store = await openRedisTemporalKeyStore(await connect(), rootKid)
    await server.client.rpush(`qflare:temporal:${rootKid}:epoch-${number}-0`, 'no record')
    expect(await store.list()).toEqual([name])
    expect(await store.find(name)).toHaveLength(0)
    expect(await store.makeOnce(name, makeRecord())).toHaveLength(0)
    expect(await store.destroy(name)).toBe(true)
    const record = makeRecord()
    expect(await store.makeOnce(name, record)).toEqual(record)
  })

  test('of records that many made and read at once nothing is left in the memory of Redis when they are destroyed', async ({
    skip,
  }) => {
    // Its log of slow commands keeps arguments: here, of all commands.
    const other = await startOther({ 'slowlog-log-slower-than': '0', 'slowlog-max-len': '10000' })
    const why = whyUnreadable(other.processId())
    skip(why !== undefined, `the kernel does not show this user the memory of another process: ${why}`)
    const redises = await Promise.all(Array.from({ length: 4 }, () => connect(other)))
    const stores = await Promise.all(redises.map((redis) => openRedisTemporalKeyStore(redis, 'root')))
    const names = Array.from({ length: 16 }, (_, ahead) => ({ ...name, number: number + ahead }))
    const canaries = await Promise.all(
      names.map(async (each) => {
        const records = await Promise.all(stores.map((store) => store.makeOnce(each, makeRecord())))
        await Promise.all(stores.map((store) => store.find(each)))
        return { what: `record ${each.number - number}`, bytes: records[0] as Uint8Array }
      }),
    )
    expect(searchMemory(other.processId(), canaries).found()).toHaveLength(names.length)
    // While it has little to do it gives up what it does not need of its buffers.
    await sleep(4_000)
    for (const each of names) expect(await stores[0]?.destroy(each)).toBe(true)
    expect(searchMemory(other.processId(), canaries).foundAt()).toEqual([])
  })

  test('no more than eight bytes of a record pass at a time, in either direction', async () => {
    const wire = await listenBetween(server.url)
    const store = await openRedisTemporalKeyStore(await connect({ ...server, url: wire.url }), randomUUID())
    // Nothing of the protocol beside a piece looks like the next byte of it.
    const record = makeRecord().map((byte) => byte | 0x80)
    expect(await store.makeOnce(name, record)).toEqual(record)
    expect(await store.find(name)).toEqual(record)
    await store.destroy(name)
    expect([8, 9].map((length) => wire.packetsWith(record, length).length > 0)).toEqual([true, false])
    // What else passes with a piece is shorter than what comes after it, and covers it.
    for (const at of wire.packetsWith(record, 8)) expect(wire.packets[at]?.length).toBeLessThan(800)
    expect(Buffer.concat(wire.packets.slice(-40)).includes(' '.repeat(800))).toBe(true)
  })

  test('a record that another process replaces while it is read is read again, and never half of each', async () => {
    const rootKid = randomUUID()
    const [one, other] = await Promise.all([1, 2].map(async () => openRedisTemporalKeyStore(await connect(), rootKid)))
    const records: string[] = []
    let isReading = true
    const replacing = (async () => {
      while (isReading) {
        const record = makeRecord()
        records.push(Buffer.from(record).toString('hex'))
        await other?.makeOnce(name, record)
        await other?.destroy(name)
      }
    })()
    const found = []
    for (let reads = 0; reads < 200; reads++) found.push(await one?.find(name).catch(() => undefined))
    isReading = false
    await replacing
    const read = found.filter((each) => each !== undefined).map((each) => Buffer.from(each).toString('hex'))
    // Destroyed is written over and deleted at once: nobody sees the zeros.
    expect(read.filter((each) => !records.includes(each))).toEqual([])
    expect(found.length).toBe(200)
  })

  test('a user that may do what docs/operations.md says may do everything that is needed', async () => {
    const other = await startOther()
    const commands = ['info', 'client|setname', 'ping', 'echo', 'config|get', 'set', 'scan', 'exists']
    const passing = ['setrange', 'getrange', 'strlen', 'renamenx', 'watch', 'unwatch', 'multi', 'exec', 'del']
    const allowed = [...commands, ...passing].map((command) => `+${command}`)
    await other.client.call('ACL', 'SETUSER', 'keys', 'on', '>secret', '~qflare:temporal:*', ...allowed)
    const redis = await connect({ ...other, url: other.url.replace('//', '//keys:secret@') })
    const store = await openRedisTemporalKeyStore(redis, 'root')
    const record = makeRecord()
    expect(await store.makeOnce(name, record)).toEqual(record)
    expect(await store.find(name)).toEqual(record)
    expect(await store.list()).toEqual([name])
    expect(await store.destroy(name)).toBe(true)
    expect(await store.list()).toEqual([])
  })

  test('after it was killed it is empty, and the same connection goes on', async () => {
    const other = await startOther()
    const redis = await connect(other)
    const store = await openRedisTemporalKeyStore(redis, 'root')
    await store.makeOnce(name, makeRecord())
    await other.kill()
    await expect(store.find(name)).rejects.toThrow(TemporalStoreError)
    await expect(store.destroy(name)).rejects.toThrow(/^Redis \(temporal keys\) does not serve: /)
    await expect(store.list()).rejects.toThrow(TemporalStoreError)
    await other.restart()
    await waitForRedis(redis, 'temporal')
    expect(await store.list()).toEqual([])
    expect(await store.find(name)).toBeUndefined()
    const record = makeRecord()
    expect(await store.makeOnce(name, record)).toEqual(record)
  })

  test('writers that are cut off by a kill make one record of each key when they try again', async () => {
    const other = await startOther()
    const redises = [await connect(other), await connect(other)]
    const stores = await Promise.all(redises.map((redis) => openRedisTemporalKeyStore(redis, 'root')))
    const names = Array.from({ length: 50 }, (_, ahead) => ({ ...name, number: number + ahead }))
    const make = () =>
      Promise.allSettled(
        stores.flatMap((store) => names.map(async (each) => [each.number, await store.makeOnce(each, makeRecord())])),
      )
    const first = make()
    await other.kill()
    await first
    await other.restart()
    await Promise.all(redises.map((redis) => waitForRedis(redis, 'temporal')))
    const again = await make()
    expect(again.filter(({ status }) => status === 'rejected')).toEqual([])
    for (const each of names) {
      const found = await Promise.all(stores.map((store) => store.find(each)))
      expect(found[0]).toEqual(found[1])
      expect(found[0]).toHaveLength(67)
    }
  })

  test('a Redis that hangs is given up, and answers again when it goes on', async () => {
    const other = await startOther()
    const store = await openRedisTemporalKeyStore(await connect(other), 'root')
    other.pause()
    await expect(store.find(name)).rejects.toThrow(TemporalStoreError)
    other.resume()
    for (let tries = 0; tries < 100 && (await store.list().catch(() => undefined)) === undefined; tries++)
      await sleep(50)
    expect(await store.list()).toEqual([])
  })

  test.each([
    [{ save: '3600 1' }, 'its save is "3600 1" and has to be ""'],
    [{ appendonly: 'yes' }, 'its appendonly is "yes" and has to be "no"'],
    [{ 'maxmemory-policy': 'allkeys-lru' }, 'its maxmemory-policy is "allkeys-lru" and has to be "noeviction"'],
  ])('a Redis with %j is refused', async (settings: Record<string, string>, reason) => {
    const other = await startOther(settings)
    const redis = await connect(other)
    await expect(openRedisTemporalKeyStore(redis, 'root')).rejects.toThrow(RedisError)
    await expect(openRedisTemporalKeyStore(redis, 'root')).rejects.toThrow(reason)
    expect(await other.client.dbsize()).toBe(0)
  })

  test('what is wrong is said all at once', async () => {
    const redis = await connect(await startOther({ save: '60 1', appendonly: 'yes' }))
    await expect(openRedisTemporalKeyStore(redis, 'root')).rejects.toThrow(/its save .*, its appendonly /)
  })

  test('nothing is written any more to one that was started anew and writes to a disk now', async () => {
    const other = await startOther()
    const redis = await connect(other)
    const store = await openRedisTemporalKeyStore(redis, 'root')
    await other.kill()
    await other.restart({ appendonly: 'yes' })
    await waitForRedis(redis, 'temporal')
    await expect(store.makeOnce(name, makeRecord())).rejects.toThrow('its appendonly is "yes"')
    expect(await other.client.dbsize()).toBe(0)
  })
})

/** What passes on a connection to it, packet by packet, in both directions. */
async function listenBetween(url: string) {
  const { hostname, port } = new URL(url)
  const packets: Buffer[] = []
  const between = createServer((near) => {
    const far = createConnection({ host: hostname, port: Number(port) })
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on('data', (packet: Buffer) => {
        packets.push(Buffer.from(packet))
        to.write(packet)
      })
      from.on('error', () => undefined).on('close', () => to.destroy())
    }
  })
  between.listen(0, '127.0.0.1')
  await once(between, 'listening')
  onTestFinished(() => {
    between.close()
  })
  return {
    url: `redis://127.0.0.1:${(between.address() as AddressInfo).port}`,
    packets,
    /** The packets that hold so many bytes of these in a row. */
    packetsWith(bytes: Uint8Array, length: number): number[] {
      const pieces = Array.from({ length: bytes.length - length + 1 }, (_, at) => bytes.subarray(at, at + length))
      return [...packets.keys()].filter((at) => pieces.some((piece) => packets[at]?.includes(piece)))
    },
  }
}
