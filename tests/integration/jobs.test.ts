import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { createLogger } from '../../runtime/logger.ts'
import { addJob } from '../../workers/add-job.ts'
import { openQueueBackend, openQueues } from '../../workers/open-queues.ts'
import { type QueueServer, queueServers, startHangingWorker, startTestWorkers, testJob } from '../support/job-queues.ts'
import { hasRedis } from '../support/redis.ts'

const WITHIN = { timeout: 15_000, interval: 20 }

function latch() {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open: () => open(), opened }
}

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

  test('with a schedule run again and again, and their runs are counted and timed', async () => {
    const runs: number[] = []
    const tick = testJob(async (_parts, now) => void runs.push(now), { schedule: { everyMs: 200 } })
    const { metrics } = await startTestWorkers(server, { tick })
    await vi.waitFor(() => expect(runs.length).toBeGreaterThan(3), WITHIN)
    const text = await metrics.registry.metrics()
    expect(text).toMatch(/qflare_jobs_total\{queue="maintenance",result="completed"\} [3-9]/)
    expect(text).toMatch(/qflare_job_duration_seconds_count\{queue="maintenance"\} [3-9]/)
  })

  test('of two workers with the same schedule run once per tick', async () => {
    const runs: number[] = []
    const tick = testJob(async () => void runs.push(Date.now()), { schedule: { everyMs: 250 } })
    const both = await Promise.all([startTestWorkers(server, { tick }), startTestWorkers(server, { tick })])
    const begun = Date.now()
    await vi.waitFor(() => expect(runs.length).toBeGreaterThan(7), WITHIN)
    for (const { workers } of both) await workers.close()
    // As many as ticks went by, and one at the start; not twice as many.
    expect(runs.length).toBeLessThanOrEqual(Math.ceil((Math.max(...runs) - begun) / 250) + 2)
  })

  test('that fail are tried again after a wait, and go well then', async () => {
    let failures = 0
    const flaky = testJob(async () => {
      if (failures++ < 2) throw new Error('not yet')
    })
    const { queues, metrics } = await startTestWorkers(server, { flaky })
    await addJob(queues, 'flaky', flaky)
    await vi.waitFor(async () => expect(await queues.maintenance.getCompletedCount()).toBe(1), WITHIN)
    expect(failures).toBe(3)
    expect(await queues.maintenance.getFailedCount()).toBe(0)
    expect(await metrics.registry.metrics()).toContain('qflare_jobs_total{queue="maintenance",result="failed"} 2')
  })

  test('that fail for good are kept with their reason, and can be run again', async () => {
    let isMended = false
    const broken = testJob(
      async () => {
        if (!isMended) throw new Error('the disk is full')
      },
      { attempts: 2 },
    )
    const { queues, metrics } = await startTestWorkers(server, { broken })
    await addJob(queues, 'broken', broken, { id: 'abc' })
    await vi.waitFor(async () => expect(await queues.maintenance.getFailedCount()).toBe(1), WITHIN)
    const [dead] = await queues.maintenance.getFailed()
    expect(dead).toMatchObject({
      name: 'broken',
      data: { id: 'abc' },
      failedReason: 'the disk is full',
      attemptsMade: 2,
    })
    expect(await metrics.registry.metrics()).toContain('qflare_jobs_total{queue="maintenance",result="dead"} 1')
    isMended = true
    await dead?.retry('failed')
    await vi.waitFor(async () => expect(await queues.maintenance.getCompletedCount()).toBe(1), WITHIN)
    expect(await queues.maintenance.getFailedCount()).toBe(0)
  })

  test('whose payload is not theirs fail without being run', async () => {
    let runs = 0
    const strict = testJob(async () => void runs++, { payload: z.strictObject({ id: z.uuid() }) })
    const { queues } = await startTestWorkers(server, { strict })
    await expect(addJob(queues, 'strict', strict, { id: 'secret' })).rejects.toThrow('Invalid UUID')
    await queues.maintenance.add('strict', { id: 'secret' }, { jobId: 'a' })
    await vi.waitFor(async () => expect(await queues.maintenance.getFailedCount()).toBe(1), WITHIN)
    expect(runs).toBe(0)
  })

  test('under way in a process that is killed are run by another', async () => {
    let runs = 0
    const hanging = await startHangingWorkerOn(server)
    const hang = testJob(async () => void runs++)
    const { queues, metrics } = await startTestWorkers(server, { hang })
    expect(runs).toBe(0)
    await hanging.kill()
    await vi.waitFor(() => expect(runs).toBe(1), WITHIN)
    await vi.waitFor(async () => expect(await queues.maintenance.getCompletedCount()).toBe(1), WITHIN)
    expect(await metrics.registry.metrics()).toContain('qflare_jobs_total{queue="maintenance",result="stalled"} 1')
  })

  async function startHangingWorkerOn(place: QueueServer) {
    const backend = await openQueueBackend({ ...place, workers: 0, logger: createLogger('silent') })
    const queues = await openQueues(backend, createLogger('silent'))
    await addJob(
      queues,
      'hang',
      testJob(async () => {}),
    )
    const hanging = await startHangingWorker(place)
    await backend.close()
    return hanging
  }

  test('have their schedules again within seconds after the queues lost everything', async () => {
    let runs = 0
    const tick = testJob(async () => void runs++, { schedule: { everyMs: 150 } })
    const daily = testJob(async () => {}, { schedule: { dailyAt: '03:10' }, queue: 'long' })
    const { queues } = await startTestWorkers(server, { tick, daily })
    await vi.waitFor(() => expect(runs).toBeGreaterThan(1), WITHIN)
    await server.flush()
    const before = runs
    await vi.waitFor(() => expect(runs).toBeGreaterThan(before + 3), WITHIN)
    expect((await queues.long.getJobScheduler('daily'))?.pattern).toBe('10 3 * * *')
  })

  test('have a schedule written anew that a clock which was set back holds up', async () => {
    let runs = 0
    const tick = testJob(async () => void runs++, { schedule: { everyMs: 150 } })
    const { queues } = await startTestWorkers(server, { tick })
    await vi.waitFor(() => expect(runs).toBeGreaterThan(0), WITHIN)
    await queues.maintenance.removeJobScheduler('tick')
    const inAnHour = { every: 150, startDate: Date.now() + 3_600_000 }
    await queues.maintenance.upsertJobScheduler('tick', inAnHour, { name: 'tick' })
    const before = runs
    await vi.waitFor(() => expect(runs).toBeGreaterThan(before + 2), WITHIN)
    expect(await queues.maintenance.getJobSchedulersCount()).toBe(1)
  })

  test('that are vital go on when somebody who writes the queue changed what their schedule gives out', async () => {
    let runs = 0
    const vital = testJob(async () => void runs++, {
      schedule: { everyMs: 150 },
      payload: z.strictObject({}),
      attempts: 1,
      isVital: true,
    })
    const { queues, metrics } = await startTestWorkers(server, { vital })
    await vi.waitFor(() => expect(runs).toBeGreaterThan(0), WITHIN)
    await queues.maintenance.upsertJobScheduler('vital', { every: 150 }, { name: 'vital', data: { is: 'garbage' } })
    await vi.waitFor(async () => expect(await metrics.registry.metrics()).toMatch(/result="dead"\} [1-9]/), WITHIN)
    await queues.maintenance.upsertJobScheduler('vital', { every: 150 }, { name: 'nothing of ours' })
    const before = runs
    await vi.waitFor(() => expect(runs).toBeGreaterThan(before + 1), WITHIN)
  })

  test('that no release runs any more lose their schedule at a start', async () => {
    const first = await startTestWorkers(server, { old: testJob(async () => {}, { schedule: { everyMs: 60_000 } }) })
    await vi.waitFor(async () => expect(await first.queues.maintenance.getJobSchedulersCount()).toBe(1), WITHIN)
    await first.close()
    const second = await startTestWorkers(server, {})
    await vi.waitFor(async () => expect(await second.queues.maintenance.getJobSchedulersCount()).toBe(0), WITHIN)
  })

  test('under way are ended before a worker has closed', async () => {
    const begun = latch()
    let isEnded = false
    const slow = testJob(async () => {
      begun.open()
      await sleep(300)
      isEnded = true
    })
    const { queues, workers } = await startTestWorkers(server, { slow })
    await addJob(queues, 'slow', slow)
    await begun.opened
    await workers.close()
    expect(isEnded).toBe(true)
    expect(await queues.maintenance.getCompletedCount()).toBe(1)
  })

  test('that are long tell how far they are, stop between two steps with their process, and lose no attempt', async () => {
    let isFirst = true
    const begun = latch()
    const long = testJob(
      async (_parts, _now, progress) => {
        for (let done = 1; isFirst; done++) {
          await progress(done, 1_000)
          begun.open()
          await sleep(10)
        }
      },
      { attempts: 1 },
    )
    const first = await startTestWorkers(server, { long })
    await addJob(first.queues, 'long', long)
    await begun.opened
    const [underWay] = await first.queues.maintenance.getActive()
    expect(underWay?.progress).toEqual({ done: 1, total: 1_000 })
    await first.close()
    isFirst = false
    const { queues } = await startTestWorkers(server, { long })
    await vi.waitFor(async () => expect(await queues.maintenance.getCompletedCount()).toBe(1), WITHIN)
    expect(await queues.maintenance.getFailedCount()).toBe(0)
  })

  test('go on after every connection was cut', async () => {
    let runs = 0
    const tick = testJob(async () => void runs++, { schedule: { everyMs: 150 } })
    await startTestWorkers(server, { tick })
    await vi.waitFor(() => expect(runs).toBeGreaterThan(1), WITHIN)
    for (let cut = 0; cut < 3; cut++) {
      await server.cutConnections()
      const before = runs
      await vi.waitFor(() => expect(runs).toBeGreaterThan(before + 1), WITHIN)
    }
  })
})
