import type { JobQueues } from '../runtime/job-queues.ts'
import {
  type JobQueue,
  openQueueBackend,
  openQueues,
  type QueueBackend,
  type QueueBackendOptions,
} from './open-queues.ts'
import { type QueueName, queueNames } from './queue-settings.ts'
import { jobs } from './queues.ts'
import { createJobQueues } from './read-queues.ts'

export interface ComposedQueues {
  backend: QueueBackend
  queues: Record<QueueName, JobQueue>
  /** For the API. */
  jobQueues: JobQueues
  close(): Promise<void>
}

/** The queues of a process, which has workers of its own or none. Throws RedisError. */
export async function composeQueues(
  options: Omit<QueueBackendOptions, 'workers'> & { hasWorkers: boolean },
): Promise<ComposedQueues> {
  const backend = await openQueueBackend({ ...options, workers: options.hasWorkers ? queueNames.length : 0 })
  try {
    const queues = await openQueues(backend, options.logger)
    const jobQueues = createJobQueues({ backend, queues, jobs, now: Date.now })
    return { backend, queues, jobQueues, close: backend.close }
  } catch (error) {
    await backend.close()
    throw error
  }
}
