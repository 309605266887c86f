import { type Job, Worker } from 'bullmq'
import { closeWithin } from './close-within.ts'
import { type JobDefinition, JobStopped } from './job.ts'
import { keepSchedules } from './keep-schedules.ts'
import type { JobQueue, QueueBackend } from './open-queues.ts'
import type { WorkerParts } from './parts.ts'
import { type QueueName, type QueueTimes, queueNames, queueSettings, queueTimes } from './queue-settings.ts'
import { createJobRunner, type JobRunner } from './run-job.ts'

export interface StartWorkersParts {
  backend: QueueBackend
  queues: Record<QueueName, JobQueue>
  jobs: Record<string, JobDefinition>
  /** What the jobs work with. */
  parts: WorkerParts
  times?: QueueTimes
}

export interface RunningWorkers {
  /** No vital job failed in this process within the last minute. */
  isHealthy(): boolean
  /** Jobs under way end, or stop between two steps; bounded. */
  close(): Promise<void>
}

const UNWELL_MS = 60_000
/** Longer than any job takes between two steps. What goes on then is another process's to repeat. */
const CLOSE_WITHIN_MS = 20_000
/** After an answer that did not come; BullMQ's own is 15 s, half the time that the keys are made ahead. */
const RETRY_MS = 2_000

/** A worker for each queue, and what keeps the schedules of the jobs. */
export function startWorkers(started: StartWorkersParts): RunningWorkers {
  const { backend, queues, jobs, parts, times = queueTimes } = started
  const failedAt = new Map<string, number>()
  const keeper = keepSchedules({ queues, jobs, times, runHere: (name) => runner.runHere(name), logger: parts.logger })
  const runner = createJobRunner(
    parts,
    jobs,
    (name, error) => {
      if (error === undefined) {
        failedAt.delete(name)
        keeper.noteWell(name)
      } else if (jobs[name]?.isVital === true && !(error instanceof JobStopped)) failedAt.set(name, performance.now())
    },
    times,
  )
  const workers = queueNames.map((name) => startWorker(name, { backend, parts, runner, times }))
  return {
    isHealthy: () => [...failedAt.values()].every((at) => performance.now() > at + UNWELL_MS),
    async close() {
      runner.stop()
      // Nothing can be told to a backend that is away: then only the jobs themselves are waited for.
      const isAway = backend.isAway()
      if (isAway) await closeWithin(CLOSE_WITHIN_MS, runner.whenIdle())
      const closing = workers.map((worker) => worker.close(isAway))
      await closeWithin(isAway ? 0 : CLOSE_WITHIN_MS, Promise.all([keeper.close(), ...closing]))
    },
  }
}

interface WorkerOfQueue {
  backend: QueueBackend
  parts: WorkerParts
  runner: JobRunner
  times: QueueTimes
}

function startWorker(queue: QueueName, { backend, parts, runner, times }: WorkerOfQueue) {
  const { logger, metrics } = parts
  const worker = new Worker(
    queue,
    async (job: Job, token) => runner.runQueued(job, token),
    {
      connection: {},
      prefix: backend.prefix,
      concurrency: queueSettings[queue].concurrency,
      lockDuration: times.lockMs,
      stalledInterval: times.stalledCheckMs,
      // A machine that is switched off three times while it runs a job is no fault of the job.
      maxStalledCount: 5,
      runRetryDelay: RETRY_MS,
    },
    backend.create,
  )
  const count = (result: string) => metrics.jobs.inc({ queue, result })
  worker.on('completed', () => count('completed'))
  worker.on('failed', (job, error) => {
    const isDead = job === undefined || job.finishedOn !== undefined
    count(isDead ? 'dead' : 'failed')
    const what = `the job ${job?.name ?? 'that stalled too often'} failed`
    if (isDead) logger.error(`${what} and is kept as failed`, {}, error)
    else logger.warn(`${what} and is tried again: ${error.message}`)
  })
  worker.on('stalled', (id) => {
    count('stalled')
    logger.warn(`a job was under way in a process that is gone, and runs again: ${id}`)
  })
  worker.on('error', (error) => logger.warn(`the worker of the queue ${queue}: ${error.message}`))
  return worker
}
