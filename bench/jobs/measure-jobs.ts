import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'bullmq'
import { startEmbeddedPostgres } from '../../database/embedded.ts'
import { migrate } from '../../database/migrate.ts'
import { prepareEmbedded } from '../../database/prepare-embedded.ts'
import { createLogger } from '../../runtime/logger.ts'
import { hasRedis, startTestRedis } from '../../tests/support/redis.ts'
import { openQueueBackend, openQueues, type QueueBackend } from '../../workers/open-queues.ts'
import { type Figure, summarize } from '../figure.ts'

const PART = 'jobs'
const CONCURRENCY = 16
const ROUNDS = 3

/** Jobs that do nothing, taken by one process from a queue that is full: what BullMQ costs on each of its two backends. */
export async function measureJobs(count: number, progress: (message: string) => void): Promise<Figure[]> {
  const figures = [await onPostgres(count, progress)]
  if (hasRedis) figures.push(await onRedis(count, progress))
  else progress('jobs: there is no redis-server on this machine')
  return figures
}

async function onPostgres(count: number, progress: (message: string) => void): Promise<Figure> {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'qflare-bench-'))
  // PostgreSQL runs as another user when root runs the bench.
  await chmod(dataDirectory, 0o711)
  const postgres = await startEmbeddedPostgres({ dataDirectory, log: () => {} })
  try {
    const { login, superuser } = await prepareEmbedded(postgres)
    await migrate(superuser)
    const connection = { connection: login, role: 'qflare_queues' }
    return await measure('PostgreSQL', { redisUrl: undefined, connection }, count, progress)
  } finally {
    await postgres.stop()
    await rm(dataDirectory, { recursive: true, force: true })
  }
}

async function onRedis(count: number, progress: (message: string) => void): Promise<Figure> {
  const redis = await startTestRedis()
  try {
    return await measure('Redis', { redisUrl: redis.url, connection: undefined }, count, progress)
  } finally {
    await redis.stop()
  }
}

async function measure(
  name: string,
  place: Pick<Parameters<typeof openQueueBackend>[0], 'redisUrl' | 'connection'>,
  count: number,
  progress: (message: string) => void,
): Promise<Figure> {
  const logger = createLogger('warn')
  const backend = await openQueueBackend({ ...place, rootKid: 'bench', workers: CONCURRENCY, logger })
  const { maintenance } = await openQueues(backend, logger)
  const rates: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    progress(`jobs: ${count} on ${name}`)
    // One by one: for many at once BullMQ makes a sequence, which this role may not.
    for (let i = 0; i < count; i += CONCURRENCY) {
      const ids = Array.from({ length: Math.min(CONCURRENCY, count - i) }, (_, k) => `${round}-${i + k}`)
      await Promise.all(ids.map((jobId) => maintenance.add('nothing', {}, { jobId, removeOnComplete: true })))
    }
    rates.push(await takeAll(backend, count))
  }
  await backend.close()
  return summarize({ part: PART, name: `on ${name}`, unit: '/s', better: 'higher' }, rates)
}

async function takeAll(backend: QueueBackend, count: number): Promise<number> {
  let done = 0
  const startedAt = performance.now()
  let worker: { close(): Promise<void> } | undefined
  await new Promise<void>((resolve, reject) => {
    const taking = new Worker(
      'maintenance',
      async () => {},
      { connection: {}, prefix: backend.prefix, concurrency: CONCURRENCY },
      backend.create,
    )
    taking.on('completed', () => {
      done++
      if (done === count) resolve()
    })
    taking.on('error', reject)
    worker = taking
  })
  const seconds = (performance.now() - startedAt) / 1_000
  await worker?.close()
  return count / seconds
}
