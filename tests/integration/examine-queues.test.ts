import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { examineQueues } from '../../operations/examine/examine-queues.ts'
import { createLogger } from '../../runtime/logger.ts'
import { scheduledJobs } from '../../runtime/queue-names.ts'
import { addJob } from '../../workers/add-job.ts'
import type { JobDefinition } from '../../workers/job.ts'
import { openQueueBackend, openQueues, type QueueBackend } from '../../workers/open-queues.ts'
import { jobs } from '../../workers/queues.ts'
import { type QueueServer, queueServers } from '../support/job-queues.ts'
import { hasRedis, startTestRedis, type TestRedis } from '../support/redis.ts'

const places = hasRedis ? (['PostgreSQL', 'Redis'] as const) : (['PostgreSQL'] as const)
const logger = createLogger('silent')

describe.each(places)('qflare doctor, of queues in %s', (place) => {
  let server: QueueServer
  let backend: QueueBackend
  let queues: Awaited<ReturnType<typeof openQueues>>
  beforeAll(async () => {
    server = await queueServers[place]()
  })
  afterAll(() => server.stop())
  beforeEach(async () => {
    backend = await openQueueBackend({ ...server, workers: 0, logger })
    queues = await openQueues(backend, logger)
  })
  afterEach(async () => {
    await server.flush()
    await backend.close()
  })

  /** As a worker writes them at its start. */
  async function writeSchedules({ isDaily = false } = {}): Promise<void> {
    for (const [name, { queue, schedule }] of Object.entries<JobDefinition>(jobs)) {
      if (schedule === undefined) continue
      const repeat = 'everyMs' in schedule && !isDaily ? { every: schedule.everyMs } : { pattern: '40 3 * * *' }
      await queues[queue].upsertJobScheduler(name, repeat, { name, data: {} })
    }
  }

  const examine = async (isInUse = true, now = Date.now()) => {
    const findings = await examineQueues(server, isInUse, () => now)
    return findings.map(({ level, message }) => `${level}: ${message}`)
  }

  test('finds them well where every schedule is there and nothing is late', async () => {
    await writeSchedules()
    const found = await examine()
    expect(found.filter((line) => line.startsWith('problem') || line.startsWith('warning'))).toEqual([])
    for (const [name, { length }] of Object.entries(scheduledJobs)) {
      expect(found).toContainEqual(expect.stringMatching(`^ok: ${name}: ${length} schedules are there`))
    }
    expect(found).toContainEqual(expect.stringMatching(/^unseen: that the whole log was compared/))
  })

  test('says which schedules are lost, and that nobody takes what is due', async () => {
    await writeSchedules()
    await queues.keys.removeJobScheduler('make-temporal-keys')
    expect(await examine()).toContainEqual('problem: keys: 1 of 2 schedules are not there: make-temporal-keys')
    const later = Date.now() + 90_000
    expect(await examine(true, later)).toContainEqual(
      expect.stringMatching(/^problem: keys: no worker has taken destroy-temporal-keys for \d+ s$/),
    )
    expect(await examine(false, later)).not.toContainEqual(expect.stringMatching(/^problem/))
  })

  test('says what waits for too long', async () => {
    await writeSchedules({ isDaily: true })
    await addJob(queues, 'check-audit-log', jobs['check-audit-log'], {}, crypto.randomUUID())
    const later = Date.now() + 60_000
    expect(await examine(true, later)).toContainEqual(
      expect.stringMatching(/^warning: long: \d wait, the oldest for \d+ s$/),
    )
  })

  test('changes nothing there', async () => {
    const inside = async () =>
      place === 'Redis'
        ? (await server.redis?.client.keys('*'))?.toSorted()
        : JSON.stringify(await Promise.all(Object.values(queues).map((queue) => queue.getJobCounts())))
    await writeSchedules()
    for (const key of (await server.redis?.client.keys('*:meta')) ?? []) await server.redis?.client.del(key)
    const before = await inside()
    await examine()
    expect(await inside()).toEqual(before)
  })
})

describe.skipIf(!hasRedis)('qflare doctor, of the Redis of the queues', () => {
  const open: TestRedis[] = []
  afterEach(async () => {
    await Promise.all(open.splice(0).map((redis) => redis.stop()))
  })

  async function examine(
    settings: Record<string, string>,
    act: (redis: TestRedis) => Promise<unknown> = async () => {},
  ) {
    const redis = await startTestRedis(settings)
    open.push(redis)
    await act(redis)
    const place = { redisUrl: redis.url, connection: undefined, rootKid: 'test' }
    return (await examineQueues(place, false)).map(({ level, message }) => `${level}: ${message}`)
  }

  test('that would throw jobs away is a problem, and none of its queues is opened', async () => {
    const found = await examine({ 'maxmemory-policy': 'allkeys-lru' })
    expect(found).toContainEqual('problem: its maxmemory-policy is allkeys-lru: when it is full it throws jobs away')
    expect(found.join()).not.toContain('schedules')
  })

  test('that is nearly full is a warning, and one that is full a problem', async () => {
    const fill = async ({ client }: TestRedis) => {
      await client.set('much', 'x'.repeat(6 << 20))
      const used = Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1])
      await client.config('SET', 'maxmemory', Math.round(used / 0.85))
    }
    expect(await examine({}, fill)).toContainEqual(expect.stringMatching(/^warning: it holds .* of /))
    const full = async ({ client }: TestRedis) => client.config('SET', 'maxmemory', '900000')
    expect(await examine({}, full)).toContainEqual(expect.stringMatching(/^problem: it holds .*writes fail/))
  })

  test('that is a replica, or cannot write to its disk, is a problem', async () => {
    const follow = ({ client }: TestRedis) => client.replicaof('127.0.0.1', '1')
    expect(await examine({}, follow)).toContainEqual('problem: it is a replica, and takes no writes')
    const dir = await mkdtemp(join(tmpdir(), 'qflare-gone-'))
    const failToSave = async ({ client }: TestRedis) => {
      await client.set('some', 'thing')
      await rm(dir, { recursive: true })
      await client.bgsave()
      await expect.poll(async () => client.info('persistence')).toContain('rdb_bgsave_in_progress:0')
    }
    const found = await examine({ dir }, failToSave)
    expect(found).toContainEqual(expect.stringMatching(/^problem: it failed to write to its disk/))
  })

  test('that does not tell its settings is not called wrong for it', async () => {
    const forbid = ({ client }: TestRedis) => client.call('ACL', 'SETUSER', 'default', '-config')
    expect(await examine({}, forbid)).toContainEqual(expect.stringMatching(/^unseen: Redis does not tell/))
  })

  test('that is away is said to be, and its password is not', async () => {
    const place = { redisUrl: 'redis://:very-secret@127.0.0.1:1', connection: undefined, rootKid: 'test' }
    const [found, ...more] = await examineQueues(place, true)
    expect(more).toEqual([])
    expect(found).toMatchObject({
      level: 'problem',
      message: expect.stringMatching(/^Redis \(queues\) cannot be reached/),
    })
    expect(JSON.stringify(found)).not.toContain('very-secret')
  })
})
