import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { addJob } from '../../workers/add-job.ts'
import { type QueueServer, queueServers, startTestWorkers, testJob } from '../support/job-queues.ts'
import { hasRedis } from '../support/redis.ts'

const WITHIN = { timeout: 15_000, interval: 20 }

describe.each(['PostgreSQL', 'Redis'] as const)('jobs in %s', (name) => {
  const isHere = name === 'PostgreSQL' || hasRedis
  let server: QueueServer

  beforeAll(async () => {
    if (isHere) server = await queueServers[name]()
  })
  afterAll(() => server?.stop())
  beforeEach(async ({ skip }) => {
    if (!isHere) skip('there is no redis-server on this machine')
    await server.flush()
  })

  test('that only a newer release has are given back by an older worker, with all their attempts, until a newer one is there', async () => {
    const older = await startTestWorkers(server, {})
    let runs = 0
    const young = testJob(
      async () => {
        if (runs++ === 0) throw new Error('not yet')
      },
      { attempts: 2 },
    )
    const { maintenance } = older.queues
    const id = await addJob(older.queues, 'young', young)
    const isGivenBack = async () => {
      const { attemptsMade, attemptsStarted } = (await maintenance.getJob(id)) ?? {}
      expect([attemptsMade, (attemptsStarted ?? 0) > 3]).toEqual([0, true])
    }
    await vi.waitFor(isGivenBack, WITHIN)
    expect(await maintenance.getFailedCount()).toBe(0)
    expect(await older.metrics.registry.metrics()).not.toMatch(/qflare_jobs_total\{.*result="(failed|dead)"/)
    await startTestWorkers(server, { young })
    await vi.waitFor(async () => expect(await maintenance.getCompletedCount()).toBe(1), WITHIN)
    expect(runs, 'one attempt failed, the other is not lost').toBe(2)
    expect(await maintenance.getFailedCount()).toBe(0)
  })

  test('with a schedule that only a newer release has run at it, beside an older worker', async () => {
    let runs = 0
    const tick = testJob(async () => void runs++, { schedule: { everyMs: 250 } })
    const { queues } = await startTestWorkers(server, { tick })
    const older = await startTestWorkers(server, {})
    const before = runs
    await vi.waitFor(() => expect(runs).toBeGreaterThan(before + 5), WITHIN)
    expect(await queues.maintenance.getFailedCount()).toBe(0)
    expect(await older.metrics.registry.metrics()).not.toMatch(/qflare_jobs_total\{.*result="(failed|dead)"/)
  })
})
