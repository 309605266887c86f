import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { createLogger } from '../../runtime/logger.ts'
import { openQueueBackend, openQueues, type QueueBackend } from '../../workers/open-queues.ts'
import { createJobQueues } from '../../workers/read-queues.ts'
import { call } from '../support/api.ts'
import { type QueueServer, queueServers, startTestWorkers, testJob } from '../support/job-queues.ts'
import { hasRedis } from '../support/redis.ts'
import { expectRefusal } from '../support/refusals.ts'
import { startTestService, type TestService } from '../support/service.ts'

const WITHIN = { timeout: 15_000, interval: 30 }

describe.each(['PostgreSQL', 'Redis'] as const)('the jobs over the API, in %s', (name) => {
  const isHere = name === 'PostgreSQL' || hasRedis
  let server: QueueServer
  let backend: QueueBackend
  let service: TestService
  let runs = 0
  let aheadMs = 0
  let isMended = false
  const jobs = {
    tick: testJob(async () => void runs++, { schedule: { everyMs: 200 } }),
    nightly: testJob(async () => void runs++, { schedule: { dailyAt: '03:20' }, queue: 'long' }),
    broken: testJob(
      async () => {
        if (!isMended) throw new Error('the disk is full')
        runs++
      },
      { attempts: 1 },
    ),
  }

  beforeAll(async () => {
    if (!isHere) return
    server = await queueServers[name]()
    const logger = createLogger('silent')
    backend = await openQueueBackend({ ...server, workers: 0, logger })
    const queues = await openQueues(backend, logger)
    service = await startTestService({
      jobQueues: createJobQueues({ backend, queues, jobs, now: () => Date.now() + aheadMs }),
    })
  })
  afterAll(async () => {
    await service?.close()
    await backend?.close()
    await server?.stop()
  })
  beforeEach(async ({ skip }) => {
    if (!isHere) skip('there is no redis-server on this machine')
    await server.flush()
    runs = 0
    isMended = false
    aheadMs = 0
  })

  const ask = (method: string, path: string) =>
    call(service, method, path, { token: service.adminToken, ...(method === 'POST' ? { body: {} } : {}) })
  const listJobs = async () => (await ask('GET', '/v1/jobs')).body.items as Record<string, unknown>[]
  const listEvents = async (type: string) => {
    const { rows } = await service.database.sql.query('select entry::jsonb as event from audit_outbox order by seq')
    return rows.map(({ event }) => event).filter((event) => event.type === type)
  }

  test('are listed with their schedule, their last and next run, and their state', async () => {
    expect(await listJobs()).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ name: 'tick', state: 'lost', everySeconds: 0.2, nextRunAt: null, failed: 0 }),
        expect.objectContaining({ name: 'broken', state: 'on_request', everySeconds: null, dailyAt: null }),
      ]),
    )
    await startTestWorkers(server, jobs)
    await vi.waitFor(() => expect(runs).toBeGreaterThan(2), WITHIN)
    await vi.waitFor(async () => {
      const tick = (await listJobs()).find((job) => job.name === 'tick')
      expect(tick?.state).toBe('scheduled')
      expect(Date.now() - (tick?.lastStartedAt as number)).toBeLessThan(10_000)
    }, WITHIN)
    const nightly = (await listJobs()).find((job) => job.name === 'nightly')
    expect(nightly).toMatchObject({ dailyAt: '03:20', state: 'scheduled', lastStartedAt: null })
    expect(new Date(nightly?.nextRunAt as number).toISOString()).toMatch(/T03:20:00.000Z$/)
  })

  test('run when they are asked to, with an event', async () => {
    await startTestWorkers(server, { ...jobs, tick: testJob(async () => {}) })
    const answer = await ask('POST', '/v1/jobs/nightly/run')
    expect(answer.status).toBe(202)
    await vi.waitFor(() => expect(runs).toBe(1), WITHIN)
    expect((await listEvents('job.run_requested')).at(-1)).toMatchObject({
      actor: { type: 'api_token' },
      subject: { job: 'nightly', runId: answer.body.id },
    })
    expectRefusal(await ask('POST', '/v1/jobs/nothing/run'), 404, 'not_found')
    expectRefusal(await ask('POST', '/v1/jobs/constructor/run'), 404, 'not_found')
  })

  test('that failed for good are listed with their reason, and run again when asked, once', async () => {
    await startTestWorkers(server, jobs)
    expect((await ask('POST', '/v1/jobs/broken/run')).status).toBe(202)
    const failed = await vi.waitFor(async () => {
      const [run] = (await ask('GET', '/v1/jobs/failed')).body.items
      expect(run).toMatchObject({ job: 'broken', reason: 'the disk is full', attempts: 1 })
      return run
    }, WITHIN)
    expect((await listJobs()).find((job) => job.name === 'broken')).toMatchObject({ failed: 1 })
    isMended = true
    const retry = `/v1/jobs/failed/${encodeURIComponent(failed.id)}/retry`
    expect((await ask('POST', retry)).status).toBe(202)
    await vi.waitFor(async () => expect((await ask('GET', '/v1/jobs/failed')).body.items).toEqual([]), WITHIN)
    expect((await listEvents('job.retry_requested')).at(-1)).toMatchObject({
      subject: { job: 'broken', runId: failed.id },
    })
    expectRefusal(await ask('POST', retry), 404, 'not_found')
    const others = ['none', '%00', '%F0%9F%98%80', '', 'x'.repeat(2_000), 'meta', 'failed', 'completed', 'events'].map(
      (id) => `maintenance:${id}`,
    )
    for (const id of [...others, 'nowhere:1', 'constructor:1', 'x'])
      expectRefusal(await ask('POST', `/v1/jobs/failed/${id}/retry`), 404, 'not_found')
  })

  test('that nobody runs show in the readiness, which does not depend on them', async () => {
    const { workers } = await startTestWorkers(server, jobs)
    await vi.waitFor(() => expect(runs).toBeGreaterThan(0), WITHIN)
    expect((await ask('GET', '/ready')).body.checks.queues).toEqual({ ok: true })
    await workers.close()
    aheadMs = 60_000
    const { status, body } = await ask('GET', '/ready')
    expect(status).toBe(200)
    const detail = 'No worker has taken the job tick for half a minute.'
    expect(body.checks.queues).toEqual({ ok: true, detail: expect.stringContaining(`${detail} Exchanges go on. See`) })
  })
})

describe.skipIf(!hasRedis)('the jobs over the API, with a Redis that is away', () => {
  test('are answered 503, and leave an event that they were asked for', async () => {
    const server = await queueServers.Redis()
    const logger = createLogger('silent')
    const backend = await openQueueBackend({ ...server, workers: 0, logger })
    const jobs = { nightly: testJob(async () => {}) }
    const jobQueues = createJobQueues({ backend, queues: await openQueues(backend, logger), jobs, now: Date.now })
    const service = await startTestService({ jobQueues })
    try {
      await server.redis?.kill()
      await vi.waitFor(() => expect(backend.isAway()).toBe(true), WITHIN)
      const admin = { token: service.adminToken }
      expectRefusal(await call(service, 'GET', '/v1/jobs', admin), 503, 'unavailable')
      expectRefusal(await call(service, 'POST', '/v1/jobs/nightly/run', { ...admin, body: {} }), 503, 'unavailable')
      const ready = await call(service, 'GET', '/ready')
      expect(ready).toMatchObject({
        status: 200,
        body: { checks: { queues: { detail: expect.stringMatching(/away/) } } },
      })
    } finally {
      await service.close()
      await backend.close()
      await server.stop()
    }
  })
})
