import { type ZodType, z } from 'zod'
import type { WorkerParts } from './parts.ts'
import type { QueueName } from './queue-settings.ts'

/** How often a job runs: in a fixed distance, or once a day at a time of UTC. */
export type Schedule = { everyMs: number } | { dailyAt: `${number}:${number}` }

const DAY_MS = 86_400_000

export function schedulePeriodMs(schedule: Schedule): number {
  return 'everyMs' in schedule ? schedule.everyMs : DAY_MS
}

/**
 * Tells how far a job is; a job that takes longer than seconds calls it between its steps. Throws JobStopped when the process is
 * stopping: what is done stays, and another process, or this one's next life, runs the job again.
 */
export type Progress = (done: number, total: number) => Promise<void>

export interface JobDefinition<Payload = unknown> {
  queue: QueueName
  /** Undefined: it runs when somebody asks for it. */
  schedule?: Schedule
  /** Ids, never keys. What is in a queue can be read and written by whoever reads and writes the queue. */
  payload: ZodType<Payload>
  /** Runs until it is kept as failed. */
  attempts: number
  /** Before the second run; it doubles with each. */
  backoffMs: number
  /** The service stops without it: when the queue does not run it, every worker process does. */
  isVital?: true
  /** What it does in the name of time cannot be undone: it fails while this machine's clock and the database's do not agree. */
  needsRightTime?: true
  run(parts: WorkerParts, now: number, progress: Progress, payload: Payload): Promise<void>
}

/** What a job is unless its entry says otherwise: without a payload, run again after 5, 10, 20 and 40 seconds. */
const defaults = { payload: z.strictObject({}), attempts: 5, backoffMs: 5_000 }

type Entry<Payload> = Omit<JobDefinition<Payload>, 'attempts' | 'backoffMs' | 'payload'> &
  Partial<Pick<JobDefinition<Payload>, 'attempts' | 'backoffMs' | 'payload'>>

export function defineJob<Payload = Record<string, never>>(entry: Entry<Payload>): JobDefinition {
  return { ...defaults, ...entry } as JobDefinition
}

/** Thrown through a job by its progress: the process stops. It is no failure, and no attempt is lost. */
export class JobStopped extends Error {
  constructor() {
    super('The process is stopping; the job runs again.')
    this.name = 'JobStopped'
  }
}
