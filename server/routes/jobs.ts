import { z } from 'zod'
import { timestamp, uuid } from '../../protocol/wire.ts'
import { defineRoute, type Route } from '../route.ts'
import type { Jobs } from '../services/jobs.ts'

const jobJson = z
  .strictObject({
    name: z.string(),
    queue: z.string(),
    everySeconds: z.number().nullable(),
    dailyAt: z.string().nullable().meta({ description: 'UTC, such as 03:20' }),
    state: z.enum(['scheduled', 'waiting', 'running', 'late', 'lost', 'on_request']),
    lastStartedAt: timestamp.nullable(),
    nextRunAt: timestamp.nullable(),
    progress: z.strictObject({ done: z.number(), total: z.number() }).nullable(),
    failed: z.int().meta({ description: 'of the newest 200 failed runs of its queue' }),
  })
  .meta({ id: 'Job' })

const failedRunJson = z
  .strictObject({
    id: z.string(),
    job: z.string(),
    queue: z.string(),
    failedAt: timestamp,
    attempts: z.int(),
    reason: z.string(),
  })
  .meta({ id: 'FailedRun' })

const nothing = z.strictObject({})
const listOf = <S extends z.ZodType>(item: S) => z.strictObject({ items: z.array(item), nextCursor: z.null() })

export function jobRoutes(jobs: Jobs): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/jobs',
      access: 'service_admin',
      summary: 'List the jobs of the service',
      answers: { 200: { description: 'Every job.', body: listOf(jobJson) } },
      async answer() {
        return { status: 200, body: { items: await jobs.list(), nextCursor: null } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/jobs/failed',
      access: 'service_admin',
      summary: 'List runs of jobs that were kept as failed, newest first',
      answers: { 200: { description: 'The newest 200.', body: listOf(failedRunJson) } },
      async answer() {
        return { status: 200, body: { items: await jobs.listFailed(), nextCursor: null } }
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/jobs/failed/:run/retry',
      access: 'service_admin',
      summary: 'Run again what was kept as failed',
      body: nothing,
      answers: { 202: { description: 'It is in its queue again.', body: z.strictObject({ id: z.string() }) } },
      errors: ['not_found'],
      async answer({ caller, params: { run: id = '' }, requestId }) {
        await jobs.retry(caller, id, requestId)
        return { status: 202, body: { id } }
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/jobs/:name/run',
      access: 'service_admin',
      summary: 'Run a job once, besides its schedule',
      body: nothing,
      answers: { 202: { description: 'It is in its queue.', body: z.strictObject({ id: uuid }) } },
      errors: ['not_found'],
      async answer({ caller, params: { name = '' }, requestId }) {
        return { status: 202, body: await jobs.run(caller, name, requestId) }
      },
    }),
  ]
}
