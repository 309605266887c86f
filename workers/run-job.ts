import { DelayedError, type Job, WaitingError } from 'bullmq'
import { MAX_CLOCK_OFFSET_MS } from '../runtime/clock.ts'
import { type JobDefinition, JobStopped, type Progress } from './job.ts'
import type { WorkerParts } from './parts.ts'
import { GIVE_BACK_TIMES, type QueueTimes } from './queue-settings.ts'

/** A stored progress is a write: not more often than this. */
const PROGRESS_EVERY_MS = 1_000

export interface JobRunner {
  /**
   * Runs what a queue gave out. Throws what the job throws, BullMQ's WaitingError when the process stops, and its DelayedError for a
   * job that only another release has: a worker of that release gets it then.
   */
  runQueued(job: Job, token: string | undefined): Promise<void>
  /** Runs a job without a queue. */
  runHere(name: string): Promise<void>
  /** From now on a job that tells its progress is stopped by that. */
  stop(): void
  /** When no job runs. */
  whenIdle(): Promise<unknown>
}

export function createJobRunner(
  parts: WorkerParts,
  jobs: Record<string, JobDefinition>,
  onEnd: (name: string, error: unknown) => void,
  { giveBackMs }: Pick<QueueTimes, 'giveBackMs'>,
): JobRunner {
  let isStopping = false
  const underWay = new Set<Promise<void>>()

  async function track(running: Promise<void>): Promise<void> {
    underWay.add(running)
    try {
      await running
    } finally {
      underWay.delete(running)
    }
  }

  async function run(name: string, payload: unknown, progress: Progress): Promise<void> {
    const definition = Object.hasOwn(jobs, name) ? jobs[name] : undefined
    if (definition === undefined) throw new Error(`This release has no job ${name}.`)
    const startedAt = performance.now()
    try {
      if (definition.needsRightTime === true && Math.abs(parts.clock.offsetMs()) > MAX_CLOCK_OFFSET_MS) {
        throw new Error(
          `The clocks of this machine and of the database do not agree: the job ${name} waits until they do.`,
        )
      }
      await parts.tracer.begin(`job ${name}`, 'internal', async (span) => {
        span.set({ 'messaging.destination.name': definition.queue })
        await definition.run(parts, parts.clock.now(), progress, definition.payload.parse(payload))
      })
      onEnd(name, undefined)
    } catch (error) {
      onEnd(name, error)
      throw error
    } finally {
      parts.metrics.jobSeconds.observe({ queue: definition.queue }, (performance.now() - startedAt) / 1_000)
    }
  }

  function refuseWhileStopping(): void {
    if (isStopping) throw new JobStopped()
  }

  /** No attempt is lost. Whoever writes the queue could name jobs that nobody has: they do not go round for ever. */
  async function giveBack(job: Job, token: string | undefined): Promise<void> {
    const before = job.attemptsStarted - job.attemptsMade - 1
    if (before >= GIVE_BACK_TIMES) return
    if (before === 0) parts.logger.info(`the job ${job.name} is left to a worker of another release`)
    await job.moveToDelayed(Date.now() + giveBackMs, token)
    throw new DelayedError()
  }

  return {
    async runQueued(job, token) {
      if (!Object.hasOwn(jobs, job.name)) await giveBack(job, token)
      let toldAt = Number.NEGATIVE_INFINITY
      const progress: Progress = async (done, total) => {
        refuseWhileStopping()
        if (performance.now() < toldAt + PROGRESS_EVERY_MS && done < total) return
        toldAt = performance.now()
        await job.updateProgress({ done, total })
      }
      try {
        await track(run(job.name, job.data, progress))
      } catch (error) {
        if (!(error instanceof JobStopped)) throw error
        await job.moveToWait(token)
        throw new WaitingError()
      }
    },
    runHere: (name) => track(run(name, {}, async () => refuseWhileStopping())),
    stop() {
      isStopping = true
    },
    whenIdle: () => Promise.allSettled(underWay),
  }
}
