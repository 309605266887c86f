import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { newId } from '../../runtime/ids.ts'
import type { FailedRun, JobQueues, JobSummary } from '../../runtime/job-queues.ts'
import { actorOf, type Operator } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { changeAs } from './change-as.ts'

export type Jobs = ReturnType<typeof createJobs>

/**
 * The jobs of the service, for its administrators. The queues may be elsewhere than the log: an event says what was asked for, and
 * is stored before it is done.
 */
export function createJobs(parts: { database: Database; jobQueues: JobQueues; clock: Clock; writeEvent: WriteEvent }) {
  const { jobQueues } = parts

  function tell(
    caller: Operator,
    type: 'job.run_requested' | 'job.retry_requested',
    subject: { job: string; runId: string },
    requestId: string,
  ): Promise<void> {
    return changeAs(parts, caller, async (tx, now) => {
      const event = parts.writeEvent(
        { organizationId: caller.organizationId, actor: actorOf(caller), type, subject, data: {}, requestId },
        now,
      )
      await insertEvents(tx, [event])
    })
  }

  return {
    list: (): Promise<JobSummary[]> => orUnavailable(jobQueues.list()),

    listFailed: (): Promise<FailedRun[]> => orUnavailable(jobQueues.listFailed()),

    /** Puts one run into its queue, now. */
    async run(caller: Operator, name: string, requestId: string): Promise<{ id: string }> {
      if (!jobQueues.canRun(name)) throw new ServiceError('not_found', 'There is no such job that runs when asked.')
      const runId = newId()
      await tell(caller, 'job.run_requested', { job: name, runId }, requestId)
      await orUnavailable(jobQueues.run(name, runId))
      return { id: runId }
    },

    /** Puts a run that was kept as failed back into its queue. */
    async retry(caller: Operator, id: string, requestId: string): Promise<void> {
      const notFound = () => new ServiceError('not_found', 'There is no failed run of this id.')
      const failed = await orUnavailable(jobQueues.findFailed(id))
      if (failed === undefined) throw notFound()
      await tell(caller, 'job.retry_requested', { job: failed.job, runId: id }, requestId)
      if (!(await orUnavailable(jobQueues.retry(id)))) throw notFound()
    },
  }
}

async function orUnavailable<T>(asked: Promise<T>): Promise<T> {
  try {
    return await asked
  } catch (cause) {
    throw new ServiceError('unavailable', 'The queues of the jobs are away.', { cause })
  }
}
