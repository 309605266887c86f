import { defineJob, type JobDefinition } from './job.ts'
import { checkStoredLog } from './jobs/check-audit-log.ts'
import { checkClocks } from './jobs/check-clocks.ts'
import { checkCollateralInTime } from './jobs/check-collateral.ts'
import { endSessionsInTime } from './jobs/end-sessions.ts'
import { flagOldIdentityKeys } from './jobs/flag-old-identity-keys.ts'
import { makePartitionsAhead } from './jobs/make-session-partitions.ts'
import { monitorEventsInTime } from './jobs/monitor-events.ts'
import { pruneOldAttestations } from './jobs/prune-attestations.ts'
import { pruneOldEnrollmentTokens } from './jobs/prune-enrollment-tokens.ts'
import { pruneOldIncidents } from './jobs/prune-incidents.ts'
import { pruneOldRevocations } from './jobs/prune-revocations.ts'
import { pruneOldSessions } from './jobs/prune-sessions.ts'
import { rotateOldKeks } from './jobs/rotate-keks.ts'
import { rotateOldSigningKeys } from './jobs/rotate-signing-keys.ts'
import { destroyOverdueKeys, makeKeysAhead } from './jobs/schedule-temporal-keys.ts'
import { sendIncidentNoticesInTime } from './jobs/send-incident-notices.ts'
import { tellEndingApiTokens } from './jobs/tell-ending-api-tokens.ts'
import { watchAttestationsInTime } from './jobs/watch-attestations.ts'

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
  'end-sessions': defineJob({
    queue: 'maintenance',
    schedule: { everyMs: 60_000 },
    attempts: 1,
    needsRightTime: true,
    run: endSessionsInTime,
  }),
  'prune-sessions': defineJob({
    queue: 'maintenance',
    schedule: { everyMs: 3_600_000 },
    needsRightTime: true,
    run: pruneOldSessions,
  }),
  'prune-attestations': defineJob({
    queue: 'long',
    schedule: { everyMs: 3_600_000 },
    needsRightTime: true,
    run: pruneOldAttestations,
  }),
  'watch-attestations': defineJob({
    queue: 'maintenance',
    schedule: { everyMs: 30_000 },
    attempts: 1,
    needsRightTime: true,
    run: watchAttestationsInTime,
  }),
  'monitor-events': defineJob({
    queue: 'maintenance',
    schedule: { everyMs: 10_000 },
    attempts: 1,
    run: monitorEventsInTime,
  }),
  'send-incident-notices': defineJob({
    queue: 'maintenance',
    schedule: { everyMs: 10_000 },
    attempts: 1,
    run: sendIncidentNoticesInTime,
  }),
  'prune-incidents': defineJob({
    queue: 'maintenance',
    schedule: { dailyAt: '02:35' },
    needsRightTime: true,
    run: pruneOldIncidents,
  }),
  'prune-enrollment-tokens': defineJob({
    queue: 'maintenance',
    schedule: { dailyAt: '02:30' },
    needsRightTime: true,
    run: pruneOldEnrollmentTokens,
  }),
  'prune-revocations': defineJob({
    queue: 'maintenance',
    schedule: { dailyAt: '02:20' },
    needsRightTime: true,
    run: pruneOldRevocations,
  }),
  'rotate-signing-keys': defineJob({
    queue: 'maintenance',
    schedule: { everyMs: 600_000 },
    needsRightTime: true,
    run: rotateOldSigningKeys,
  }),
  'rotate-keks': defineJob({
    queue: 'long',
    schedule: { everyMs: 600_000 },
    needsRightTime: true,
    run: rotateOldKeks,
  }),
  'check-clocks': defineJob({
    queue: 'maintenance',
    schedule: { everyMs: 60_000 },
    attempts: 1,
    run: checkClocks,
  }),
  'check-collateral': defineJob({
    queue: 'maintenance',
    schedule: { everyMs: 3_600_000 },
    needsRightTime: true,
    run: checkCollateralInTime,
  }),
  'flag-old-identity-keys': defineJob({
    queue: 'maintenance',
    schedule: { dailyAt: '02:50' },
    needsRightTime: true,
    run: flagOldIdentityKeys,
  }),
  'tell-ending-api-tokens': defineJob({
    queue: 'maintenance',
    schedule: { everyMs: 3_600_000 },
    needsRightTime: true,
    run: tellEndingApiTokens,
  }),
  'check-audit-log': defineJob({
    queue: 'long',
    schedule: { dailyAt: '03:40' },
    attempts: 3,
    backoffMs: 600_000,
    run: checkStoredLog,
  }),
} satisfies Record<string, JobDefinition>
