import type { Job } from 'bullmq'
import { z } from 'zod'
import type { FailedRun, JobQueues, JobSummary } from '../runtime/job-queues.ts'
import { addJob } from './add-job.ts'
import { within } from './close-within.ts'
import type { JobDefinition } from './job.ts'
import { LATE_MS, listNextRuns } from './keep-schedules.ts'
import type { JobQueue, QueueBackend } from './open-queues.ts'
import { type QueueName, queueNames } from './queue-settings.ts'

const MAX_FAILED = 200
const ANSWER_MS = 3_000
/**
 * The ids of runs: those of `addJob`, and BullMQ's for a schedule. Any other text would be asked of the queues as it is, where
 * PostgreSQL takes no NUL and Redis has other keys than runs.
 */
const runIdPattern = /^(?:[0-9a-f-]{36}|repeat:[\w-]+:[0-9]{1,16})$/
const storedProgress = z.object({ done: z.number(), total: z.number() })

/** The queues as the API sees them. `now` is this process's own clock, by which BullMQ goes. */
export function createJobQueues(parts: {
  backend: QueueBackend
  queues: Record<QueueName, JobQueue>
  jobs: Record<string, JobDefinition>
  now: () => number
}): JobQueues {
  const { backend, queues, jobs, now } = parts
  const lostSince = new Map<string, number>()

  /** A Redis that is away would let it wait for ever. */
  async function ask<T>(work: () => Promise<T>): Promise<T> {
    if (backend.isAway()) throw new Error('The Redis of the queues is away.')
    return within(ANSWER_MS, work(), 'The queues give no answer.')
  }

  async function summarize(queue: JobQueue, queueName: QueueName): Promise<JobSummary[]> {
    const active = await queue.getActive()
    const failed = await queue.getFailed(0, MAX_FAILED - 1)
    const ofQueue = Object.entries(jobs).filter(([, definition]) => definition.queue === queueName)
    return Promise.all(
      ofQueue.map(async ([name, { schedule }]) => {
        const underWay = active.find((run) => run.name === name)
        const planned = schedule === undefined ? undefined : await queue.getJobScheduler(name)
        const nextRunAt = planned?.next ?? null
        const state = stateOf({ isScheduled: schedule !== undefined, nextRunAt, isRunning: underWay !== undefined })
        return {
          name,
          queue: queueName,
          everySeconds: schedule !== undefined && 'everyMs' in schedule ? schedule.everyMs / 1_000 : null,
          dailyAt: schedule !== undefined && 'dailyAt' in schedule ? schedule.dailyAt : null,
          state,
          lastStartedAt: underWay?.processedOn ?? (await findLastStart(queue, name, planned)),
          nextRunAt,
          progress: underWay === undefined ? null : (storedProgress.safeParse(underWay.progress).data ?? null),
          failed: failed.filter((run) => run.name === name).length,
        }
      }),
    )
  }

  function stateOf(job: { isScheduled: boolean; nextRunAt: number | null; isRunning: boolean }): JobSummary['state'] {
    if (job.isRunning) return 'running'
    if (!job.isScheduled) return 'on_request'
    if (job.nextRunAt === null) return 'lost'
    if (job.nextRunAt > now()) return 'scheduled'
    return job.nextRunAt < now() - LATE_MS ? 'late' : 'waiting'
  }

  async function findFailed(id: string): Promise<{ run: FailedRun; job: Job } | undefined> {
    const [queueName = '', ...rest] = id.split(':')
    const queue = queueNames.find((name) => name === queueName)
    const runId = rest.join(':')
    if (queue === undefined || !runIdPattern.test(runId)) return undefined
    const job = await queues[queue].getJob(runId)
    if (job === undefined || (await job.getState()) !== 'failed') return undefined
    return { run: toFailedRun(queue, job), job }
  }

  return {
    canRun: (name) => Object.hasOwn(jobs, name) && jobs[name]?.payload.safeParse({}).success === true,
    list: () => ask(async () => (await Promise.all(queueNames.map((name) => summarize(queues[name], name)))).flat()),
    listFailed: () =>
      ask(async () => {
        const found = await Promise.all(
          queueNames.map(async (name) =>
            (await queues[name].getFailed(0, MAX_FAILED - 1)).map((job) => toFailedRun(name, job)),
          ),
        )
        return found
          .flat()
          .toSorted((a, b) => b.failedAt - a.failedAt)
          .slice(0, MAX_FAILED)
      }),
    findFailed: (id) => ask(async () => (await findFailed(id))?.run),
    retry: (id) =>
      ask(async () => {
        const found = await findFailed(id)
        if (found === undefined) return false
        await found.job.retry('failed', { resetAttemptsMade: true })
        return true
      }),
    run: (name, runId) =>
      ask(async () => {
        const definition = jobs[name]
        if (definition === undefined) throw new Error(`There is no job ${name}.`)
        await addJob(queues, name, definition, {}, runId)
      }),
    findTrouble: () =>
      ask(async () => {
        for (const queueName of queueNames) {
          const stored = await listNextRuns(queues[queueName])
          for (const [name, { queue, schedule }] of Object.entries(jobs)) {
            if (queue !== queueName || schedule === undefined) continue
            const next = stored.get(name)
            if (next !== undefined) lostSince.delete(name)
            else if (!lostSince.has(name)) lostSince.set(name, now())
            const dueAt = next ?? lostSince.get(name) ?? now()
            if (dueAt < now() - LATE_MS) return `No worker has taken the job ${name} for half a minute.`
          }
        }
        return undefined
      }),
  }
}

/** The run that waits for its time was planned when the one before it began. */
async function findLastStart(
  queue: JobQueue,
  name: string,
  planned: { next?: number | null; iterationCount?: number } | undefined,
): Promise<number | null> {
  if (planned?.next == null || (planned.iterationCount ?? 0) < 2) return null
  return (await queue.getJob(`repeat:${name}:${planned.next}`))?.timestamp ?? null
}

function toFailedRun(queue: QueueName, job: Job): FailedRun {
  return {
    id: `${queue}:${job.id}`,
    job: job.name,
    queue,
    failedAt: job.finishedOn ?? job.timestamp,
    attempts: job.attemptsMade,
    reason: job.failedReason,
  }
}
