import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { observeTogether } from '../runtime/observe-together.ts'
import { listNextRuns } from './keep-schedules.ts'
import type { JobQueue, QueueBackend } from './open-queues.ts'
import { type QueueName, queueNames } from './queue-settings.ts'

const states = ['waiting', 'active', 'delayed', 'failed'] as const

/** Of the queues, which all processes share. `now` is the clock by which BullMQ goes. */
export function observeQueues(parts: {
  backend: Pick<QueueBackend, 'isAway'>
  queues: Record<QueueName, JobQueue>
  metrics: Metrics
  logger: Logger
  now: () => number
}): void {
  const { backend, queues, metrics } = parts

  async function look(queue: QueueName) {
    const counts = await queues[queue].getJobCounts(...states)
    const [oldest] = await queues[queue].getWaiting(0, 0)
    const nextRuns = await listNextRuns(queues[queue])
    // A run that a schedule planned was put there long before its time.
    const oldestAt = oldest === undefined ? Number.POSITIVE_INFINITY : oldest.timestamp + (oldest.opts.delay ?? 0)
    const dueAt = Math.min(...nextRuns.values(), oldestAt)
    return { queue, counts, lateMs: Math.max(0, parts.now() - dueAt) }
  }

  observeTogether({
    name: 'queues',
    logger: parts.logger,
    gauges: [metrics.queueJobs, metrics.queueLateSeconds],
    async look() {
      // A Redis that is away would let it wait.
      if (backend.isAway()) throw new Error('The Redis of the queues is away.')
      return Promise.all(queueNames.map(look))
    },
    show(found) {
      for (const { queue, counts, lateMs } of found) {
        for (const state of states) metrics.queueJobs.set({ queue, state }, counts[state] ?? 0)
        metrics.queueLateSeconds.set({ queue }, lateMs / 1_000)
      }
    },
  })
}
