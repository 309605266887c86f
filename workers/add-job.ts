import { newId } from '../runtime/ids.ts'
import { type JobDefinition, type Schedule, schedulePeriodMs } from './job.ts'
import type { JobQueue } from './open-queues.ts'
import { KEEP_COMPLETED, KEEP_FAILED, type QueueName } from './queue-settings.ts'

const HOUR_MS = 3_600_000

/** One run, as soon as a worker is free. Returns its id. Throws ZodError for a payload that is not the job's. */
export async function addJob(
  queues: Record<QueueName, JobQueue>,
  name: string,
  definition: JobDefinition,
  payload: unknown = {},
  // For a job without an id BullMQ counts, with a sequence in PostgreSQL that nobody here may make.
  jobId = newId(),
): Promise<string> {
  const data = definition.payload.parse(payload)
  await queues[definition.queue].add(name, data, { ...jobOptions(definition), jobId })
  return jobId
}

/** How BullMQ is told of attempts, backoff and what is kept. Runs of the frequent jobs that went well would hide the others. */
export function jobOptions({ schedule, attempts, backoffMs }: JobDefinition) {
  return {
    attempts,
    backoff: { type: 'exponential', delay: backoffMs, jitter: 0.2 },
    removeOnComplete: isFrequent(schedule) ? true : { count: KEEP_COMPLETED },
    removeOnFail: { count: KEEP_FAILED },
  }
}

function isFrequent(schedule: Schedule | undefined): boolean {
  return schedule !== undefined && schedulePeriodMs(schedule) < HOUR_MS
}
