import { defineJob, type JobDefinition } from './job.ts'
import { makePartitionsAhead } from './jobs/make-session-partitions.ts'
import { destroyOverdueKeys, makeKeysAhead } from './jobs/schedule-temporal-keys.ts'

/** Every job, by its name. What happens when one does not run stands in docs/operations.md. */
export const jobs = {
  'destroy-temporal-keys': defineJob({
    queue: 'keys',
    schedule: { everyMs: 5_000 },
    attempts: 1,
    isVital: true,
    run: destroyOverdueKeys,
  }),
  'make-temporal-keys': defineJob({
    queue: 'keys',
    schedule: { everyMs: 15_000 },
    attempts: 1,
    isVital: true,
    run: makeKeysAhead,
  }),
  'make-session-partitions': defineJob({
    queue: 'maintenance',
    schedule: { everyMs: 600_000 },
    run: makePartitionsAhead,
  }),
} satisfies Record<string, JobDefinition>
