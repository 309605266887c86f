import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { DatabaseError } from 'pg'
import { onTestFinished } from 'vitest'
import { z } from 'zod'
import type { DirectConnection } from '../../database/connect-roles.ts'
import { createLogger, type Logger } from '../../runtime/logger.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import { noTracer } from '../../runtime/tracing/tracer.ts'
import { defineJob, type JobDefinition } from '../../workers/job.ts'
import { type JobQueue, openQueueBackend, openQueues, type QueueBackend } from '../../workers/open-queues.ts'
import type { WorkerParts } from '../../workers/parts.ts'
import { type QueueName, type QueueTimes, queueNames } from '../../workers/queue-settings.ts'
import { type RunningWorkers, startWorkers } from '../../workers/start-workers.ts'
import { createTestDatabase } from './database.ts'
import { startTestRedis, type TestRedis } from './redis.ts'

const DEADLOCK = '40P01'

/** Short, so that a test of what takes minutes takes a second. */
export const shortTimes: QueueTimes = {
  lockMs: 800,
  stalledCheckMs: 300,
  keepMs: 200,
  answerMs: 300,
  vitalMs: 1_000,
  giveBackMs: 100,
}

/** Where queues are, in a form that another process can be given. */
export interface QueuePlace {
  redisUrl: string | undefined
  rootKid: string
  connection: DirectConnection | undefined
}

/** A real server for queues, with nothing in them. */
export interface QueueServer extends QueuePlace {
  /** Loses everything that is in the queues. */
  flush(): Promise<void>
  /** Breaks every connection to the queues. */
  cutConnections(): Promise<void>
  redis: TestRedis | undefined
  stop(): Promise<void>
}

export const queueServers: Record<'PostgreSQL' | 'Redis', () => Promise<QueueServer>> = {
  async PostgreSQL() {
    const database = await createTestDatabase()
    const { rows } = await database.sql.query<{ name: string }>(
      `select tablename as name from pg_tables where schemaname = 'bullmq' and tablename <> 'migration'`,
    )
    const tables = rows.map(({ name }) => `bullmq.${name}`).join(', ')
    return {
      redisUrl: undefined,
      rootKid: 'test',
      connection: { connection: database.login, role: 'qflare_queues' },
      redis: undefined,
      async flush() {
        for (;;) {
          try {
            await database.sql.query(`truncate ${tables}`)
            return
          } catch (error) {
            // A worker was at it in another order.
            if (!(error instanceof DatabaseError) || error.code !== DEADLOCK) throw error
          }
        }
      },
      cutConnections: async () =>
        void (await database.sql.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and usename = 'qflare'`,
        )),
      stop: () => database.drop(),
    }
  },
  async Redis() {
    const redis = await startTestRedis()
    return {
      redisUrl: redis.url,
      rootKid: 'test',
      connection: undefined,
      redis,
      flush: async () => void (await redis.client.flushall()),
      cutConnections: async () => void (await redis.client.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')),
      stop: () => redis.stop(),
    }
  },
}

/** One process of workers, as far as the queues can tell. */
export interface TestWorkers {
  backend: QueueBackend
  queues: Record<QueueName, JobQueue>
  metrics: ReturnType<typeof createMetrics>
  workers: RunningWorkers
  close(): Promise<void>
}

/** What a job of a test runs; `definition` is the rest of its entry. */
export function testJob(run: JobDefinition['run'], definition: Partial<JobDefinition> = {}): JobDefinition {
  return defineJob({ queue: 'maintenance', payload: z.unknown(), backoffMs: 20, ...definition, run })
}

/** Jobs that only need a clock; closed at the end of the test. */
export async function startTestWorkers(
  place: QueuePlace,
  jobs: Record<string, JobDefinition>,
  { times = shortTimes, logger = createLogger('silent') }: { times?: QueueTimes; logger?: Logger } = {},
): Promise<TestWorkers> {
  const backend = await openQueueBackend({ ...place, workers: queueNames.length, logger })
  const queues = await openQueues(backend, logger)
  const metrics = createMetrics()
  const clock = { now: Date.now, offsetMs: () => 0, measuredAt: Date.now, measure: async () => {} }
  const parts = { clock, logger, metrics, tracer: noTracer } as unknown as WorkerParts
  const workers = startWorkers({ backend, queues, jobs, parts, times })
  let closing: Promise<void> | undefined
  const close = () => (closing ??= workers.close().then(() => backend.close()))
  onTestFinished(close)
  return { backend, queues, metrics, workers, close }
}

/** A process of its own that takes the job `hang`, says so, and never ends it. `kill -9` ends it. */
export async function startHangingWorker(place: QueuePlace): Promise<{ kill(): Promise<void> }> {
  const child = spawn(process.execPath, [new URL('./hanging-worker.ts', import.meta.url).pathname], {
    env: { PATH: process.env.PATH ?? '', QUEUE_PLACE: JSON.stringify({ ...place, redis: undefined }) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  onTestFinished(() => void child.kill('SIGKILL'))
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (text: Buffer) => {
      if (text.toString().includes('hanging')) resolve()
    })
    child.once('exit', (code) => reject(new Error(`the worker ended with ${code}`)))
  })
  return {
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}
