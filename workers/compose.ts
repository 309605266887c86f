import { countLiveTemporalKeys } from '../database/repositories/temporal-keys.ts'
import { createDestructionLimit } from './jobs/destroy-temporal-keys.ts'
import { destroyUnknownRecords } from './jobs/destroy-unknown-records.ts'
import { makePartitionsAhead } from './jobs/make-session-partitions.ts'
import { destroyOverdueKeys, makeKeysAhead } from './jobs/schedule-temporal-keys.ts'
import type { JobQueue, QueueBackend } from './open-queues.ts'
import type { WorkerParts } from './parts.ts'
import type { QueueName } from './queue-settings.ts'
import { jobs } from './queues.ts'
import { type RunningWorkers, startWorkers } from './start-workers.ts'

export interface ComposeWorkersParts extends Omit<WorkerParts, 'destructionLimit'> {
  backend: QueueBackend
  queues: Record<QueueName, JobQueue>
}

/**
 * The workers of every queue. Partitions and keys are there when this resolves, so that whoever starts afterwards finds them;
 * overdue keys are destroyed before new ones are made.
 */
export async function composeWorkers({ backend, queues, ...composed }: ComposeWorkersParts): Promise<RunningWorkers> {
  const { database, clock, logger, metrics } = composed
  const destructionLimit = createDestructionLimit(() => performance.now(), clock.now())
  const parts: WorkerParts = { ...composed, destructionLimit }
  const unknown = await destroyUnknownRecords(parts, clock.now())
  if (unknown.length > 0)
    logger.warn('temporal keys that the database does not know were destroyed', { count: unknown.length })
  await destroyOverdueKeys(parts, clock.now())
  await makePartitionsAhead(parts, clock.now())
  await makeKeysAhead(parts, clock.now())
  Object.assign(metrics.temporalKeys, {
    async collect() {
      const alive = await database.withoutOrganization(countLiveTemporalKeys)
      for (const { kind, count } of alive) metrics.temporalKeys.set({ state: kind }, count)
    },
  })
  return startWorkers({ backend, queues, jobs, parts })
}
