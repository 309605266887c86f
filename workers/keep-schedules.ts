import type { Logger } from '../runtime/logger.ts'
import { jobOptions } from './add-job.ts'
import { within } from './close-within.ts'
import { type JobDefinition, type Schedule, schedulePeriodMs } from './job.ts'
import type { JobQueue } from './open-queues.ts'
import { type QueueName, type QueueTimes, queueNames } from './queue-settings.ts'

/** A run that is this late, or planned this much too far ahead, shows that the schedule is broken. */
export const LATE_MS = 30_000

export interface KeepSchedulesParts {
  queues: Record<QueueName, JobQueue>
  jobs: Record<string, JobDefinition>
  times: Pick<QueueTimes, 'keepMs' | 'answerMs' | 'vitalMs'>
  /** Runs a vital job in this process. */
  runHere: (name: string) => Promise<void>
  logger: Logger
}

export interface ScheduleKeeper {
  /** A job went well in this process. */
  noteWell(name: string): void
  close(): Promise<void>
}

/**
 * Keeps every schedule of the table in its queue: writes them at the start, and again within seconds when a queue has lost them or a
 * clock that was set back holds one up. While a queue gives no answer, or nobody works on it, the vital jobs run here; so does each
 * that this process has not seen go well for a while: what a queue gives out in its name is what whoever writes the queue says.
 */
export function keepSchedules(parts: KeepSchedulesParts): ScheduleKeeper {
  const { logger, times } = parts
  let isFirst = true
  let isWell = true
  let looking: Promise<string[]> | undefined
  let running: Promise<void> | undefined
  const startedAt = performance.now()
  const seenAt = new Map<string, number>()
  const isMissed = (name: string) => performance.now() > (seenAt.get(name) ?? startedAt) + times.vitalMs

  async function look(): Promise<string[]> {
    if (!isFirst) return mendAll(parts)
    await writeAll(parts)
    isFirst = false
    return []
  }

  async function keep(): Promise<void> {
    try {
      // One at a time: a Redis that is away lets commands wait for ever, and all of them run when it is back.
      looking ??= look().finally(() => {
        looking = undefined
      })
      const late = await within(times.answerMs, looking, 'The queues give no answer.')
      await runVital(Object.keys(parts.jobs).filter((name) => late.includes(name) || isMissed(name)))
      if (!isWell && late.length === 0) logger.info('the schedules of the jobs are well again')
      isWell = late.length === 0
    } catch (error) {
      if (isWell) logger.error('the schedules of the jobs cannot be kept, and are tried again', {}, error)
      isWell = false
      await runVital(Object.keys(parts.jobs))
    }
  }

  async function runVital(names: readonly string[]): Promise<void> {
    for (const name of names) {
      if (parts.jobs[name]?.isVital !== true) continue
      // Also when it fails: that shows, and it is not tried faster for it.
      seenAt.set(name, performance.now())
      try {
        await parts.runHere(name)
      } catch (error) {
        logger.error(`the job ${name}, which its queue does not get done, failed here too`, {}, error)
      }
    }
  }

  const run = () => {
    running ??= keep().finally(() => {
      running = undefined
    })
  }
  run()
  const timer = setInterval(run, times.keepMs)
  return {
    noteWell: (name) => void seenAt.set(name, performance.now()),
    async close() {
      clearInterval(timer)
      await running
    },
  }
}

async function writeAll({ queues, jobs }: KeepSchedulesParts): Promise<void> {
  for (const queueName of queueNames) {
    const queue = queues[queueName]
    for (const { key } of await queue.getJobSchedulers()) {
      if (jobs[key]?.queue !== queueName || jobs[key].schedule === undefined) await queue.removeJobScheduler(key)
    }
    for (const [name, definition] of scheduledIn(jobs, queueName)) await write(queue, name, definition)
  }
}

/** Writes what is lost or stuck. Returns the names of those that nobody has run for too long. */
async function mendAll({ queues, jobs, logger }: KeepSchedulesParts): Promise<string[]> {
  const late: string[] = []
  for (const queueName of queueNames) {
    const queue = queues[queueName]
    const stored = await listNextRuns(queue)
    for (const [name, definition] of scheduledIn(jobs, queueName)) {
      const next = stored.get(name)
      const now = Date.now()
      if (next === undefined || next > now + schedulePeriodMs(definition.schedule) + LATE_MS) {
        logger.warn(`the schedule of the job ${name} was ${next === undefined ? 'lost' : 'stuck'}, and is written anew`)
        await queue.removeJobScheduler(name)
        await write(queue, name, definition)
      } else if (next < now - LATE_MS) {
        late.push(name)
        if ((await queue.getJob(`repeat:${name}:${next}`)) === undefined) await write(queue, name, definition)
      }
    }
  }
  return late
}

/** In one round trip, which `getJobSchedulers` is not. */
export async function listNextRuns(queue: JobQueue): Promise<Map<string, number>> {
  const flat = await queue.getBackend().getJobSchedulersRange(0, -1, true)
  return new Map(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, Number(flat[i + 1])] as const] : [])))
}

type Scheduled = JobDefinition & { schedule: Schedule }

function scheduledIn(jobs: Record<string, JobDefinition>, queue: QueueName): [string, Scheduled][] {
  return Object.entries(jobs).filter(
    (entry): entry is [string, Scheduled] => entry[1].queue === queue && entry[1].schedule !== undefined,
  )
}

async function write(queue: JobQueue, name: string, definition: Scheduled): Promise<void> {
  await queue.upsertJobScheduler(name, toRepeat(definition.schedule), { name, data: {}, opts: jobOptions(definition) })
}

function toRepeat(schedule: Schedule): { every: number } | { pattern: string; tz: string } {
  if ('everyMs' in schedule) return { every: schedule.everyMs }
  const [hour, minute] = schedule.dailyAt.split(':').map(Number)
  return { pattern: `${minute} ${hour} * * *`, tz: 'UTC' }
}
