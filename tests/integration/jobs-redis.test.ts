import { describe, expect, test, vi } from 'vitest'
import { createLogger } from '../../runtime/logger.ts'
import { addJob } from '../../workers/add-job.ts'
import { openQueueBackend } from '../../workers/open-queues.ts'
import { queueServers, startTestWorkers, testJob } from '../support/job-queues.ts'
import { hasRedis, startTestRedis } from '../support/redis.ts'

const WITHIN = { timeout: 15_000, interval: 20 }

describe.skipIf(!hasRedis)('a Redis for the queues', () => {
  test('that may throw keys away is refused, with what to set', async () => {
    const redis = await startTestRedis({ 'maxmemory-policy': 'allkeys-lru' })
    try {
      await expect(
        openQueueBackend({
          redisUrl: redis.url,
          rootKid: 'test',
          connection: undefined,
          workers: 0,
          logger: createLogger('silent'),
        }),
      ).rejects.toMatchObject({ name: 'RedisError', message: expect.stringContaining('maxmemory-policy noeviction') })
    } finally {
      await redis.stop()
    }
  })

  test('that two services share gives the jobs of each to its own workers alone', async () => {
    const server = await queueServers.Redis()
    try {
      const runs = { one: 0, other: 0 }
      const start = (rootKid: 'one' | 'other') =>
        startTestWorkers({ ...server, rootKid }, { asked: testJob(async () => void runs[rootKid]++) })
      const [one] = await Promise.all([start('one'), start('other')])
      for (let asked = 0; asked < 10; asked++)
        await addJob(
          one.queues,
          'asked',
          testJob(async () => {}),
        )
      await vi.waitFor(() => expect(runs.one + runs.other).toBe(10), WITHIN)
      expect(runs.other).toBe(0)
    } finally {
      await server.stop()
    }
  })

  test('that is away costs no vital job: every worker process runs them itself, and the queue again when it is back', async () => {
    const server = await queueServers.Redis()
    try {
      const vital = { count: 0 }
      let others = 0
      const jobs = {
        vital: testJob(async () => void vital.count++, { schedule: { everyMs: 100 }, queue: 'keys', isVital: true }),
        other: testJob(async () => void others++, { schedule: { everyMs: 100 } }),
      }
      const { workers } = await startTestWorkers(server, jobs)
      await vi.waitFor(() => expect(others).toBeGreaterThan(1), WITHIN)
      await server.redis?.kill()
      const before = vital.count
      await vi.waitFor(() => expect(vital.count).toBeGreaterThan(before + 1), WITHIN)
      expect(workers.isHealthy()).toBe(true)
      await server.redis?.restart()
      const stood = others
      await vi.waitFor(() => expect(others).toBeGreaterThan(stood + 2), WITHIN)
    } finally {
      await server.stop()
    }
  })
})
