import {
  type BackendFactory,
  createPostgresBackend,
  createRedisBackend,
  type IQueueBackend,
  Queue,
  type QueueOptions,
} from 'bullmq'
import type { DirectConnection } from '../../database/connect-roles.ts'
import { openQueuePool } from '../../database/open-queue-pool.ts'
import { createLogger } from '../../runtime/logger.ts'
import { queuePrefix, scheduledJobs } from '../../runtime/queue-names.ts'
import { openRedis, RedisError, waitForRedis } from '../../runtime/redis.ts'
import { examineQueueRedis } from './examine-queue-redis.ts'
import { type Finding, findingsOf } from './finding.ts'

const { ok, warning, problem, unseen } = findingsOf('queues')

const CONNECT_WITHIN_MS = 5_000
/** A worker takes what is due within seconds. */
const LATE_MS = 30_000
const DAY_MS = 86_400_000
/** A night's check that was missed. */
const CHECK_WITHIN_MS = 1.5 * DAY_MS
const LOG_CHECK = 'check-audit-log'
const MANY = 200
const AWAY_ADVICE =
  'Is it running, and are address and password of REDIS_URL right? Workers run the two vital jobs without it; the others wait.'

type ExaminedQueue = Queue<unknown, unknown, string, unknown, unknown, string, IQueueBackend, object>

export interface QueuePlace {
  redisUrl: string | undefined
  /** Of qflare_queues; undefined where there is a Redis. */
  connection: DirectConnection | undefined
  /** Whose queues; undefined: nobody knows, and only the Redis itself is looked at. */
  rootKid: string | undefined
}

/** Where the queues are, and how they are worked on. `isInUse`: a service works on the database. Changes nothing. */
export async function examineQueues(place: QueuePlace, isInUse: boolean, now = Date.now): Promise<Finding[]> {
  const { redisUrl, connection, rootKid } = place
  if (redisUrl !== undefined) return examineOnRedis(redisUrl, rootKid, isInUse, now)
  if (connection === undefined || rootKid === undefined) return []
  const pool = openQueuePool({ connection, workers: 0, onAway: () => {}, onBack: () => {} })
  try {
    const create: BackendFactory<IQueueBackend, object> = (name, opts, more) =>
      createPostgresBackend(name, { ...opts, connection: pool }, more)
    return [ok('they are in PostgreSQL'), ...(await examineEach(create, rootKid, isInUse, now()))]
  } finally {
    await pool.end()
  }
}

async function examineOnRedis(url: string, rootKid: string | undefined, isInUse: boolean, now: () => number) {
  const redis = openRedis({ url, name: 'queues', logger: createLogger('silent') })
  try {
    await waitForRedis(redis, 'queues', CONNECT_WITHIN_MS)
    const findings = await examineQueueRedis(redis, now)
    // BullMQ would say the same, in its own words.
    if (rootKid === undefined || findings.some(({ level }) => level === 'problem')) return findings
    const create: BackendFactory<IQueueBackend, object> = (name, opts, more) =>
      createRedisBackend(name, { ...opts, connection: redis }, more)
    return [...findings, ...(await examineEach(create, rootKid, isInUse, now()))]
  } catch (error) {
    if (!(error instanceof RedisError)) throw error
    return [problem(error.message, AWAY_ADVICE)]
  } finally {
    redis.disconnect()
  }
}

async function examineEach(
  create: BackendFactory<IQueueBackend, object>,
  rootKid: string,
  isInUse: boolean,
  now: number,
): Promise<Finding[]> {
  const options: QueueOptions<object> = { connection: {}, prefix: queuePrefix(rootKid), skipMetasUpdate: true }
  const findings: Finding[] = []
  for (const [name, jobs] of Object.entries(scheduledJobs)) {
    const queue: ExaminedQueue = new Queue(name, options, create)
    // What breaks tells the call that waits.
    queue.on('error', () => {})
    await queue.waitUntilReady()
    findings.push(...(await examineQueue(queue, jobs, isInUse, now)))
    if (jobs.some((job) => job === LOG_CHECK)) findings.push(await logCheckFinding(queue, isInUse, now))
  }
  return findings
}

async function examineQueue(
  queue: ExaminedQueue,
  jobs: readonly string[],
  isInUse: boolean,
  now: number,
): Promise<Finding[]> {
  const { name } = queue
  const planned = new Map((await queue.getJobSchedulers(0, -1, true)).map(({ key, next }) => [key, next ?? now]))
  const { waiting = 0, failed = 0 } = await queue.getJobCounts('waiting', 'failed')
  const [oldest] = await queue.getJobs(['waiting'], 0, 0, true)
  const [newestFailure] = await queue.getFailed(0, 0)
  const wrong = (message: string, advice: string) => (isInUse ? problem : unseen)(`${name}: ${message}`, advice)
  const findings: Finding[] = []
  const missing = jobs.filter((job) => !planned.has(job))
  if (missing.length > 0) {
    const text = `${missing.length} of ${jobs.length} schedules are not there: ${missing.slice(0, 4).join(', ')}`
    findings.push(wrong(text, 'A process with the role worker writes them anew within seconds: start one.'))
  }
  const late = jobs.filter((job) => (planned.get(job) ?? now) < now - LATE_MS)
  if (late.length > 0) {
    const longest = Math.max(...late.map((job) => now - (planned.get(job) ?? now)))
    const text = `no worker has taken ${late.slice(0, 4).join(', ')} for ${secondsText(longest)}`
    findings.push(wrong(text, 'Start a process with the role worker, or see the log of the one that runs.'))
  }
  const waitedMs = oldest === undefined ? 0 : now - oldest.timestamp
  if (waitedMs > LATE_MS && late.length === 0) {
    const text = `${name}: ${waiting} wait, the oldest for ${secondsText(waitedMs)}`
    findings.push(
      (isInUse ? warning : unseen)(text, 'qflare jobs list shows what runs; a long job holds up its queue.'),
    )
  }
  if (newestFailure !== undefined && (newestFailure.finishedOn ?? 0) > now - DAY_MS) {
    const text = `${name}: ${failed} runs are kept as failed, the newest of ${newestFailure.name}`
    findings.push(warning(text, 'qflare jobs failed says why, qflare jobs retry runs it again.'))
  }
  if (findings.length > 0) return findings
  return [ok(`${name}: ${jobs.length} schedules are there and run; ${waiting} wait, ${failed} are kept as failed`)]
}

/** Of the check of the whole log, which runs at night. */
async function logCheckFinding(queue: ExaminedQueue, isInUse: boolean, now: number): Promise<Finding> {
  const runs = await queue.getJobs(['completed'], 0, MANY - 1)
  const ends = runs.filter((run) => run.name === LOG_CHECK).map(({ finishedOn = 0 }) => finishedOn)
  const advice = 'It runs every night at 03:40 UTC where a worker works; qflare audit check does it now.'
  if (ends.length === 0) return unseen('that the whole log was compared with what was signed is not remembered', advice)
  const newest = Math.max(...ends)
  const text = `the whole log was last compared with what was signed at ${new Date(newest).toISOString()}`
  return isInUse && newest < now - CHECK_WITHIN_MS ? warning(text, advice) : ok(text)
}

function secondsText(ms: number): string {
  return `${Math.round(ms / 1_000)} s`
}
