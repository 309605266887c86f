import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { examineTemporalRedis } from '../../operations/examine/examine-temporal-redis.ts'
import { GRACE_MS } from '../../protocol/exchange/bucket.ts'
import { createLogger } from '../../runtime/logger.ts'
import { openRedis, waitForRedis } from '../../runtime/redis.ts'
import { openRedisTemporalKeyStore } from '../../runtime/temporal/redis-temporal-key-store.ts'
import { hasRedis, startTestRedis, type TestRedis } from '../support/redis.ts'
import { crypto } from '../support/service.ts'
import { bucket, type KeySchedule, middle, openKeySchedule } from '../support/temporal-keys.ts'

const ROOT = 'root'

describe.skipIf(!hasRedis)('qflare doctor, of temporal keys in Redis', () => {
  let redis: TestRedis
  let schedule: KeySchedule
  let store: Awaited<ReturnType<typeof openRedisTemporalKeyStore>>
  const closing: (() => unknown)[] = []
  beforeAll(async () => {
    redis = await startTestRedis()
    schedule = await openKeySchedule()
    const connection = openRedis({ url: redis.url, name: 'temporal', logger: createLogger('silent') })
    await waitForRedis(connection, 'temporal')
    store = await openRedisTemporalKeyStore(connection, ROOT)
    closing.push(() => connection.disconnect())
    await schedule.make(middle, { ...schedule.worker(), store })
  })
  afterAll(async () => {
    for (const close of closing) close()
    await schedule.database.drop()
    await redis.stop()
  })

  const examine = async (isInUse: boolean | undefined, now = middle, url = redis.url) => {
    const { database } = schedule.worker()
    const known = isInUse === undefined ? undefined : { database, crypto, rootKid: ROOT, isInUse }
    const findings = await examineTemporalRedis({ url, now, known })
    return findings.map(({ level, message }) => `${level}: ${message}`)
  }

  test('finds those that should be there, and changes nothing', async () => {
    const keys = (await redis.client.keys('*')).sort()
    expect(await examine(true)).toEqual([
      'ok: their Redis answers, writes nothing to a disk and evicts nothing',
      'ok: those of now and the next 13 epochs are there, as they were recorded',
    ])
    expect(await examine(undefined)).toEqual([expect.stringMatching(/^ok: /), expect.stringMatching(/^unseen: /)])
    expect((await redis.client.keys('*')).sort()).toEqual(keys)
  })

  test('names those that are missing, overdue or unknown', async () => {
    await store.destroy({ kind: 'epoch', number: bucket + 3, generation: 0 })
    await store.makeOnce({ kind: 'epoch', number: bucket + 9, generation: 4 }, new Uint8Array(93))
    const found = await examine(true)
    expect(found).toContainEqual(`problem: 1 of 16 are missing or changed: epoch ${bucket + 3}`)
    expect(found).toContainEqual(expect.stringMatching(/^warning: 1 records are unknown to the database/))
    expect(await examine(false)).toContainEqual(expect.stringMatching(/^unseen: 1 of 16 are missing/))
    const late = middle + 300_000 + GRACE_MS
    expect(await examine(true, late)).toContainEqual('problem: 2 keys are still there whose time is over')
    expect(await examine(false, late)).toContainEqual('warning: 2 keys are still there whose time is over')
  })

  test('says of a Redis that cannot keep them why, and of one that is away that it is', async () => {
    const persistent = await startTestRedis({ save: '60 1' })
    closing.push(() => persistent.stop())
    const [refused, away] = await Promise.all([
      examine(true, middle, persistent.url),
      examine(true, middle, 'redis://:very-secret@127.0.0.1:1'),
    ])
    expect(refused).toEqual([expect.stringMatching(/^problem: .*its save is "60 1" and has to be ""/)])
    expect(away).toEqual([expect.stringMatching(/^problem: Redis \(temporal keys\) cannot be reached/)])
    expect(away.join()).not.toContain('very-secret')
  })
})
