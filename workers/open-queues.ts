import {
  type BackendFactory,
  createPostgresBackend,
  createRedisBackend,
  type IQueueBackend,
  Queue,
  type QueueOptions,
} from 'bullmq'
import type { DirectConnection } from '../database/connect-roles.ts'
import { checkDirect } from '../database/find-pooler.ts'
import { openQueuePool } from '../database/open-queue-pool.ts'
import type { Logger } from '../runtime/logger.ts'
import { queuePrefix } from '../runtime/queue-names.ts'
import { openRedis, RedisError, readRedisSetting, waitForRedis } from '../runtime/redis.ts'
import { closeWithin } from './close-within.ts'
import { type QueueName, queueNames } from './queue-settings.ts'

/** Where the queues are: all of them on one connection, or one pool, of this process. */
export interface QueueBackend {
  kind: 'postgres' | 'redis'
  /** Of every key in a Redis; queues and workers are given it. */
  prefix: string
  /** For queues and workers, which name no connection of their own then. */
  create: BackendFactory<IQueueBackend, object>
  /** The clock of the Redis, in milliseconds since the Unix epoch; undefined where the queues are in PostgreSQL. */
  readClock: (() => Promise<number>) | undefined
  /** Commands would wait for it to be back. */
  isAway(): boolean
  close(): Promise<void>
}

export type JobQueue = Queue<unknown, unknown, string, unknown, unknown, string, IQueueBackend, object>

export interface QueueBackendOptions {
  redisUrl: string | undefined
  /** Keeps services on one Redis apart: a job of one is no other's to run. */
  rootKid: string
  /** As qflare_queues; undefined only where there is a Redis. */
  connection: DirectConnection | undefined
  /** Workers that this process will have: each waits for its jobs on a connection of its own. */
  workers: number
  logger: Logger
}

/**
 * Opens Redis where it is set, else PostgreSQL. Throws RedisError for one that is away, or that may throw jobs away, and DatabaseError
 * `refused` for a pooler: workers LISTEN.
 */
export async function openQueueBackend(options: QueueBackendOptions): Promise<QueueBackend> {
  return options.redisUrl === undefined ? openOnPostgres(options) : openOnRedis(options.redisUrl, options)
}

/** Seconds. BullMQ ignores a look at the next job that fails while PostgreSQL is away: nobody may sleep on it for long. */
const MAX_BLOCK_SECONDS = 10

const CLOSE_WITHIN_MS = 2_000

async function openOnPostgres({ connection, rootKid, workers, logger }: QueueBackendOptions): Promise<QueueBackend> {
  if (connection === undefined) throw new Error('There is neither a Redis nor a login for the queues.')
  await checkDirect(connection.connection, 'Queues')
  const pool = openQueuePool({
    connection,
    workers,
    onAway: (error) => logger.warn(`the queues in PostgreSQL are away: ${error.message}`),
    onBack: () => logger.info('the queues in PostgreSQL are back'),
  })
  return {
    kind: 'postgres',
    prefix: queuePrefix(rootKid),
    create(name, opts, more) {
      const backend = createPostgresBackend(name, { ...opts, connection: pool }, more)
      return Object.defineProperty(backend, 'maximumBlockTimeout', { value: MAX_BLOCK_SECONDS })
    },
    readClock: undefined,
    // A statement fails then, and waits for nothing.
    isAway: () => false,
    // A worker that did not end in its time keeps its connection.
    close: () => closeWithin(CLOSE_WITHIN_MS, pool.end()),
  }
}

async function openOnRedis(url: string, { rootKid, logger }: QueueBackendOptions): Promise<QueueBackend> {
  const redis = openRedis({ url, name: 'queues', logger, waits: true })
  try {
    await waitForRedis(redis, 'queues')
    const policy = await readRedisSetting(redis, 'maxmemory-policy')
    if (policy !== 'noeviction') {
      throw new RedisError(
        `The Redis of REDIS_URL has maxmemory-policy ${policy}, and would throw jobs away when it is full: set` +
          ' maxmemory-policy noeviction, in redis.conf or with CONFIG SET.',
      )
    }
  } catch (error) {
    redis.disconnect()
    throw error
  }
  return {
    kind: 'redis',
    prefix: queuePrefix(rootKid),
    create: (name, opts, more) => createRedisBackend(name, { ...opts, connection: redis }, more),
    async readClock() {
      const [seconds, microseconds] = await redis.time()
      return Number(seconds) * 1_000 + Number(microseconds) / 1_000
    },
    isAway: () => redis.status !== 'ready',
    close: async () => redis.disconnect(),
  }
}

/** BullMQ's event streams are for nobody here but a look at what went on. */
const EVENTS_KEPT = 1_000

/** The queues themselves, to add to and to look into. Throws when they cannot be used. */
export async function openQueues(backend: QueueBackend, logger: Logger): Promise<Record<QueueName, JobQueue>> {
  const options: QueueOptions<object> = {
    connection: {},
    prefix: backend.prefix,
    streams: { events: { maxLen: EVENTS_KEPT } },
  }
  const opened = queueNames.map((name): [QueueName, JobQueue] => {
    const queue: JobQueue = new Queue(name, options, backend.create)
    queue.on('error', (error) => logger.warn(`the queue ${name}: ${error.message}`))
    return [name, queue]
  })
  await Promise.all(opened.map(([, queue]) => queue.waitUntilReady()))
  return Object.fromEntries(opened) as Record<QueueName, JobQueue>
}
