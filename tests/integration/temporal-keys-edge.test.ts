import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { BUCKET_MS, bucketAt, GRACE_MS, SKEW_MS } from '../../protocol/exchange/bucket.ts'
import { SealError } from '../../runtime/custody/sealed-record.ts'
import { createLogger } from '../../runtime/logger.ts'
import { openRedis, waitForRedis } from '../../runtime/redis.ts'
import { openRedisTemporalKeyStore } from '../../runtime/temporal/redis-temporal-key-store.ts'
import type { TemporalKeyStore } from '../../runtime/temporal/temporal-key-store.ts'
import { createDestructionLimit } from '../../workers/jobs/destroy-temporal-keys.ts'
import { destroyUnknownRecords } from '../../workers/jobs/destroy-unknown-records.ts'
import type { MakeTemporalKeysParts } from '../../workers/jobs/make-temporal-keys.ts'
import { hasRedis, startTestRedis, type TestRedis } from '../support/redis.ts'
import { crypto } from '../support/service.ts'
import {
  bucket,
  epochName,
  type KeySchedule,
  keyName,
  middle,
  nameOf,
  openKeySchedule,
  range,
  start,
  unlimited,
} from '../support/temporal-keys.ts'

describe.skipIf(!hasRedis)('workers at the edge of a bucket, on one Redis', () => {
  let schedule: KeySchedule
  let redis: TestRedis
  let workers: MakeTemporalKeysParts[]
  const closing: (() => void)[] = []

  async function openStore(rootKid: string): Promise<TemporalKeyStore> {
    const connection = openRedis({ url: redis.url, name: 'temporal', logger: createLogger('silent') })
    closing.push(() => connection.disconnect())
    await waitForRedis(connection, 'temporal')
    return openRedisTemporalKeyStore(connection, rootKid)
  }

  beforeAll(async () => {
    redis = await startTestRedis()
    schedule = await openKeySchedule()
  })
  afterAll(async () => {
    await schedule.database.drop()
    for (const close of closing) close()
    await redis.stop()
  })
  beforeEach(async () => {
    await schedule.begin()
    const rootKid = randomUUID()
    workers = []
    for (const number of [0, 1, 2] as const) {
      workers.push({ ...schedule.worker(number), store: await openStore(rootKid) })
    }
  })
  const inStore = async () => ((await workers[0]?.store.list()) ?? []).map(nameOf).sort()
  const everywhere = <T>(run: (worker: MakeTemporalKeysParts) => Promise<T>) => Promise.all(workers.map(run))

  test('make one set of keys and destroy each once, and the one that did says that it was erased', async () => {
    await everywhere((worker) => schedule.make(middle, worker))
    for (const edge of range(1, 4)) {
      const now = start + edge * BUCKET_MS - SKEW_MS
      const made = (await everywhere((worker) => schedule.make(now, worker))).flat()
      expect(made.sort()).toEqual([keyName(edge + 1), epochName(edge + 15)])
      const later = start + edge * BUCKET_MS + GRACE_MS
      const runs = await everywhere(async (worker) => {
        const { destroyed } = await schedule.destroy(later, unlimited, worker)
        return { destroyed, made: await schedule.make(later, worker) }
      })
      expect(runs.flatMap(({ destroyed }) => destroyed).sort()).toEqual([keyName(edge - 1), epochName(edge - 1)])
      expect(runs.flatMap((run) => run.made)).toEqual([])
    }
    const destroyed = await schedule.listEvents('destroyed')
    expect(destroyed).toHaveLength(8)
    expect(destroyed.map(({ data }) => data.how)).toEqual(Array.from({ length: 8 }, () => 'erased'))
    expect(new Set((await schedule.listEvents('made')).map(({ subject }) => nameOf(subject))).size).toBe(16 + 2 + 8)
    expect(await inStore()).toHaveLength(16 + 2)
    expect((await inStore()).filter((name) => !name.endsWith('-0'))).toEqual([])
  })

  test('that start leave alone what others are just making', async () => {
    for (const offset of range(0, 5)) {
      const now = middle + offset * BUCKET_MS
      const [, , unknown] = await Promise.all([
        schedule.make(now, workers[0]),
        schedule.make(now, workers[1]),
        destroyUnknownRecords(workers[2] as MakeTemporalKeysParts, now),
      ])
      expect(unknown).toEqual([])
    }
    expect(await schedule.listEvents('unknown_destroyed')).toEqual([])
    expect((await inStore()).filter((name) => !name.endsWith('-0'))).toEqual([])
  })

  test('that start wait for the row of a record that is just being made, however long that takes', async () => {
    const [maker, starter] = workers as [MakeTemporalKeysParts, MakeTemporalKeysParts]
    const stored = Promise.withResolvers<void>()
    const goOn = Promise.withResolvers<void>()
    const slow: TemporalKeyStore = {
      ...maker.store,
      async makeOnce(name, record) {
        const answer = await maker.store.makeOnce(name, record)
        stored.resolve()
        await goOn.promise
        return answer
      },
    }
    const making = schedule.make(middle, { ...maker, store: slow })
    await stored.promise
    const destroying = destroyUnknownRecords(starter, middle)
    setTimeout(goOn.resolve, 300)
    expect([await destroying, (await making).length]).toEqual([[], 18])
    expect(await inStore()).toHaveLength(18)
  })

  test('that start together destroy what nobody recorded once, with one event', async () => {
    const name = { kind: 'epoch', number: bucket + 2, generation: 0 } as const
    await workers[0]?.store.makeOnce(name, new Uint8Array(93))
    const destroyed = await everywhere((worker) => destroyUnknownRecords(worker, middle))
    expect(destroyed.flat()).toEqual([name])
    expect(await schedule.listEvents('unknown_destroyed')).toHaveLength(1)
    expect(await inStore()).toEqual([])
  })

  test('that start destroy what came back with an older store, and nothing that is alive', async () => {
    const [worker] = workers as [MakeTemporalKeysParts]
    await schedule.make(middle, worker)
    const names = [{ kind: 'epoch', number: bucket, generation: 0 }] as const
    const old = (await worker.store.find(names[0])) as Uint8Array
    await schedule.destroy(start + BUCKET_MS + GRACE_MS, unlimited, worker)
    await worker.store.makeOnce(names[0], old)
    expect(await destroyUnknownRecords(worker, start + 2 * BUCKET_MS)).toEqual(names)
    expect(await inStore()).toHaveLength(16)
    expect((await schedule.listEvents('unknown_destroyed')).map(({ subject }) => subject)).toEqual(names)
  })

  test('are not stopped by what somebody put in the place of a key to come: it goes, with an event', async () => {
    const [worker] = workers as [MakeTemporalKeysParts]
    const planted = { kind: 'epoch', number: bucket + 1, generation: 0 } as const
    await worker.store.makeOnce(planted, crypto.randomBytes(93))
    await expect(schedule.make(middle, worker)).rejects.toThrow(SealError)
    expect((await schedule.listEvents('unknown_destroyed')).map(({ subject }) => subject)).toEqual([planted])
    await schedule.make(middle, worker)
    expect(await inStore()).toHaveLength(18)
    expect((await inStore()).filter((name) => !name.endsWith('-0'))).toEqual([])
  })

  test('start, and make the next generation, beside what somebody put in the place of a record that is no string', async () => {
    const [worker] = workers as [MakeTemporalKeysParts]
    await redis.client.flushall()
    await schedule.make(middle, worker)
    const [taken] = await redis.client.keys(`*${keyName(1)}`)
    await redis.client.del(taken as string)
    for (const key of [taken as string, (taken as string).replace(keyName(1), epochName(-9))])
      await redis.client.rpush(key, 'no record')
    expect(await destroyUnknownRecords(worker, middle)).toMatchObject([{ kind: 'epoch', number: bucket - 9 }])
    expect(await schedule.make(middle, worker)).toEqual([keyName(1, 1)])
  })

  test('that come late find what Redis let go by itself, and say that they saw it gone', async () => {
    await schedule.make(middle, workers[0])
    await redis.client.flushall()
    const { destroyed } = await schedule.destroy(start + BUCKET_MS + GRACE_MS, unlimited, workers[1])
    expect(destroyed).toEqual([keyName(0), epochName(0)])
    expect((await schedule.listEvents('destroyed')).map(({ data }) => data.how)).toEqual(['observed', 'observed'])
  })

  test('destroy and record nothing while Redis is away, and do it when it is back', async () => {
    await schedule.make(middle, workers[0])
    const later = start + BUCKET_MS + GRACE_MS
    redis.pause()
    try {
      await expect(schedule.destroy(later, unlimited, workers[0])).rejects.toThrow(/temporal keys\) does not serve/)
    } finally {
      redis.resume()
    }
    expect(await schedule.listEvents('destroyed')).toEqual([])
    const { rows } = await schedule.database.sql.query('select from temporal_key where destroyed_at is not null')
    expect(rows).toEqual([])
    expect((await schedule.destroy(later, unlimited, workers[1])).destroyed).toEqual([keyName(0), epochName(0)])
  })

  test('that start after the database’s clock jumped destroy nothing of the future: their machine’s does not agree', async () => {
    await schedule.make(middle, workers[0])
    const tomorrow = middle + 24 * 3_600_000
    for (const worker of workers) {
      const limit = createDestructionLimit(() => 0, tomorrow)
      const jumped = await schedule.destroy(tomorrow, limit, worker, middle)
      expect(jumped).toEqual({ destroyed: [], isHeldBack: true })
      // Nor by a machine whose clock jumped.
      expect((await schedule.destroy(middle, limit, worker, tomorrow)).destroyed).toEqual([])
    }
    expect(await inStore()).toHaveLength(18)
    // Both agree: the machine rested.
    const rested = await schedule.destroy(
      tomorrow,
      createDestructionLimit(() => 0, tomorrow),
      workers[0],
      tomorrow,
    )
    expect([rested.destroyed.length, rested.isHeldBack]).toEqual([18, false])
  })

  test('together destroy no more than one bucket in five minutes, whenever each of them started', () => {
    const begun = start + 17_000
    let monotonic = 0
    let clock = begun
    const startsAt = [0, 130_000, 290_000, 301_000, 599_000]
    const limits = new Map<number, ReturnType<typeof createDestructionLimit>>()
    const highest: number[] = []
    for (; monotonic < 40 * 60_000; monotonic += 1_000) {
      clock = begun + monotonic + (monotonic > 650_000 ? 24 * 3_600_000 : 0)
      for (const at of startsAt)
        if (monotonic >= at && !limits.has(at))
          limits.set(
            at,
            createDestructionLimit(() => monotonic, clock),
          )
      const overdue = bucketAt(clock - GRACE_MS)
      highest.push(Math.max(...[...limits.values()].map((limit) => limit.allow(overdue))))
    }
    const steps = highest.flatMap((value, second) =>
      second > 0 && value > (highest[second - 1] as number) ? [second] : [],
    )
    expect(steps.length).toBeGreaterThan(5)
    for (const [index, value] of highest.entries()) {
      if (index > 0) expect(value - (highest[index - 1] as number)).toBeLessThanOrEqual(1)
    }
    const sinceJump = steps.filter((second) => second > 650)
    for (const [index, second] of sinceJump.entries()) {
      if (index > 0) expect(second - (sinceJump[index - 1] as number)).toBeGreaterThanOrEqual(300)
    }
  })
})
