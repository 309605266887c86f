import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import { expect, onTestFinished, test, vi } from 'vitest'
import { bucketAt } from '../../protocol/exchange/bucket.ts'
import { createLogger } from '../../runtime/logger.ts'
import { openRedis, waitForRedis } from '../../runtime/redis.ts'
import { openRedisTemporalKeyStore } from '../../runtime/temporal/redis-temporal-key-store.ts'
import { temporalRecordBytes } from '../../runtime/temporal/temporal-record.ts'
import { whyUnreadable } from '../support/process-memory.ts'
import { hasRedis, startTestRedis, type TestRedis } from '../support/redis.ts'
import { searchMemory } from '../support/search-places.ts'

const name = { kind: 'epoch', number: bucketAt(Date.now()), generation: 0 } as const

test.skipIf(!hasRedis)(
  'whenever Redis takes the buffer of answers back while a record is read, no more than a piece of it is left there',
  async ({ skip }) => {
    const server = await startTestRedis({ 'enable-debug-command': 'yes', hz: '500' })
    onTestFinished(() => server.stop())
    const why = whyUnreadable(server.processId())
    skip(why !== undefined, `the kernel does not show this user the memory of another process: ${why}`)
    await server.client.call('DEBUG', 'REPLYBUFFER', 'RESIZING', '0')
    const maker = await openRedisTemporalKeyStore(await connect(server), 'root')

    // Once before each command of a reading, on a connection of its own that still has the first of its buffers.
    let shrunk = 0
    for (let isShrunk = true; isShrunk; ) {
      const record = new Uint8Array(randomBytes(temporalRecordBytes(name.kind)))
      await maker.makeOnce(name, record)
      const redis = await connect(server)
      const store = await openRedisTemporalKeyStore(redis, 'root')
      const id = await redis.client('ID')
      isShrunk = false
      beforeCommand(redis, shrunk, async () => {
        await shrinkBuffer(server, id)
        isShrunk = true
      })
      expect(await store.find(name)).toEqual(record)
      await maker.destroy(name)
      // Before another connection takes what was freed and writes it over.
      const found = searchMemory(server.processId(), [{ what: `record, ${shrunk}`, bytes: record }])
      expect(found.foundAt()).toEqual([])
      if (isShrunk) shrunk++
    }
    expect(shrunk).toBeGreaterThan(temporalRecordBytes(name.kind) / 8)
  },
)

async function connect({ url }: TestRedis): Promise<Redis> {
  const redis = openRedis({ url, name: 'temporal', logger: createLogger('silent'), wipes: true })
  onTestFinished(() => redis.disconnect())
  await waitForRedis(redis, 'temporal')
  return redis
}

/** `step` is awaited before the command is sent before which so many were; those of a transaction do not count. */
function beforeCommand(redis: Redis, position: number, step: () => Promise<void>): void {
  const send = redis.sendCommand.bind(redis)
  let sent = 0
  redis.sendCommand = (command, stream) => {
    if (stream !== undefined || sent++ !== position) return send(command, stream)
    step().then(() => send(command), command.reject)
    return command.promise
  }
}

/** Redis does it by itself, some five seconds after a connection was made. */
async function shrinkBuffer({ client }: TestRedis, id: number): Promise<void> {
  const bytes = async () => Number(/ rbs=(\d+) /.exec(String(await client.client('LIST', 'ID', id)))?.[1])
  expect(await bytes()).toBe(16_384)
  await client.call('DEBUG', 'REPLYBUFFER', 'RESIZING', '1')
  await vi.waitFor(async () => expect(await bytes()).toBeLessThan(2_048), { timeout: 10_000, interval: 5 })
  await client.call('DEBUG', 'REPLYBUFFER', 'RESIZING', '0')
}
