import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../../database/open.ts'
import { findPublishedCheckpoint } from '../../database/repositories/audit-reader.ts'
import { listOverdueTemporalKeys } from '../../database/repositories/temporal-keys.ts'
import { bucketAt, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import { type Clock, MAX_CLOCK_OFFSET_MS } from '../../runtime/clock.ts'
import type { Wrapper } from '../../runtime/custody/wrapper.ts'
import type { JobQueues } from '../../runtime/job-queues.ts'
import { TemporalStoreError } from '../../runtime/temporal/temporal-key-store.ts'
import type { TemporalKeys } from './temporal-keys.ts'
import type { VerifyStoredKeys } from './verify-stored-keys.ts'

/** `detail`: what is not well, also where it keeps nobody from anything yet, and what to do. */
export interface Check {
  ok: boolean
  detail?: string
}

/** The clock is compared every minute. */
const MAX_MEASUREMENT_AGE_MS = 180_000

/** A worker looks every few seconds; keys that it did not destroy by then have nobody who does. */
const MAX_OVERDUE_MS = 60_000

/** An idle log signs one every minute. */
const MAX_CHECKPOINT_AGE_SECONDS = 180

export const checkNames = [
  'database',
  'temporalKeys',
  'clock',
  'schedule',
  'queues',
  'custody',
  'auditLog',
  'shutdown',
] as const
type CheckName = (typeof checkNames)[number]

/** What to do when it is not well: the end of its line. */
const advice: Record<CheckName, string> = {
  database:
    'See PostgreSQL’s log (postgres.log beside the embedded data); the service goes on by itself when it is back.',
  temporalKeys:
    'A process with the role worker makes them within 30 seconds: see its log, and whether their Redis or folder is well.',
  clock: 'Synchronize the clocks of this machine and PostgreSQL’s (NTP).',
  schedule:
    'See the logs of the processes with the role worker, or start one; after a sleep of the machine restart it.',
  queues:
    'Exchanges go on. See qflare jobs list, and whether a process with the role worker and the queues’ Redis run.',
  custody: 'See whether what keeps the root key answers: without it no key opens.',
  auditLog:
    'Start a process with the role sequencer, or see the log of the one that runs; events wait in the database.',
  shutdown: 'Send requests to another process.',
}

/** Gives nothing where the part is well, a detail where it keeps nobody from anything yet; throws otherwise. */
type Run = () => Promise<string | undefined | void>
export type Checks = Partial<Record<CheckName, Run>>

export interface Readiness {
  check(): Promise<{ isReady: boolean; checks: Partial<Record<CheckName, Check>> }>
}

/** All at once, each in its time. */
export function toReadiness(checks: Checks): Readiness {
  const names = checkNames.filter((name) => checks[name] !== undefined)
  return {
    async check() {
      const entries = await Promise.all(
        names.map(
          async (name): Promise<[CheckName, Check]> => [name, await outcome(checks[name] as Run, advice[name])],
        ),
      )
      return { isReady: entries.every(([, { ok }]) => ok), checks: Object.fromEntries(entries) }
    },
  }
}

/** Whether this process can take an exchange now, with one line per part that it needs. */
export function createReadiness(parts: {
  database: Database
  /** As qflare_auditor. */
  auditor: Database
  temporalKeys: Pick<TemporalKeys, 'findBucketKey' | 'getEpochKeys'>
  verifyStoredKeys: VerifyStoredKeys
  clock: Clock
  wrapper: Pick<Wrapper, 'checkHealth'>
  isDraining: () => boolean
  /** Of the schedule of temporal keys, where it runs in this process. */
  isScheduleHealthy: () => boolean
  jobQueues: Pick<JobQueues, 'findTrouble'>
}) {
  const { clock } = parts
  const checks: Record<CheckName, Run> = {
    database: () => checkDatabase(parts.database),
    temporalKeys: async () => {
      const current = bucketAt(clock.now())
      for (const bucket of [current, current + 1]) {
        const key = await parts.temporalKeys.findBucketKey('ML-KEM-1024', bucket)
        if (key === undefined) throw new Error(`The key of bucket ${bucket} is missing.`)
      }
      await parts.temporalKeys.getEpochKeys(current, current + 13)
      return findStoreOutage(() => parts.verifyStoredKeys(current))
    },
    clock: () => checkClock(clock),
    schedule: async () => {
      if (!parts.isScheduleHealthy()) throw new Error('The schedule of temporal keys failed, or the clock ran ahead.')
      const overdueBelow = bucketAt(clock.now() - GRACE_MS - MAX_OVERDUE_MS)
      const overdue = await parts.database.withoutOrganization((tx) => listOverdueTemporalKeys(tx, overdueBelow))
      if (overdue.length === 0) return
      throw new Error(`${overdue.length} temporal keys are overdue: no worker destroys them, or the clock ran ahead.`)
    },
    queues: () => checkQueues(parts.jobQueues),
    custody: () => parts.wrapper.checkHealth(),
    auditLog: async () => {
      const checkpoint = await parts.auditor.withoutOrganization(findPublishedCheckpoint)
      if (checkpoint === undefined) throw new Error('The audit log has no checkpoint yet.')
      const ageSeconds = Math.round((clock.now() - checkpoint.signedAt) / 1000)
      // One from the future would look fresh until then, whatever becomes of the sequencer.
      if (ageSeconds < -MAX_CLOCK_OFFSET_MS / 1000) {
        throw new Error(`The newest checkpoint of the audit log is from ${-ageSeconds} s ahead: a clock ran ahead.`)
      }
      if (ageSeconds > MAX_CHECKPOINT_AGE_SECONDS) {
        throw new Error(`The newest checkpoint of the audit log is ${ageSeconds} s old: no sequencer works.`)
      }
    },
    shutdown: async () => {
      if (parts.isDraining()) throw new Error('The service is stopping.')
    },
  }
  return toReadiness(checks)
}

export async function checkDatabase(database: Database): Promise<void> {
  await database.readClock()
}

export async function checkClock(clock: Clock): Promise<void> {
  const offsetMs = Math.round(clock.offsetMs())
  if (clock.now() > (clock.measuredAt() ?? 0) + MAX_MEASUREMENT_AGE_MS) {
    throw new Error('The clock was not compared with the database’s for three minutes.')
  }
  if (Math.abs(offsetMs) > MAX_CLOCK_OFFSET_MS) throw new Error(`The clock is ${offsetMs} ms off the database’s.`)
}

/** Never not ready: an exchange needs no queue, and workers keep the temporal keys without one. */
export async function checkQueues(jobQueues: Pick<JobQueues, 'findTrouble'>): Promise<string | undefined> {
  try {
    return await jobQueues.findTrouble()
  } catch (error) {
    return error instanceof Error ? error.message : 'failed'
  }
}

/** While the store is away this process goes on with the keys that it has: what it makes is good if they are still there then. */
async function findStoreOutage(verify: () => Promise<void>): Promise<string | undefined> {
  try {
    await verify()
    return undefined
  } catch (error) {
    if (error instanceof TemporalStoreError) return error.message
    throw error
  }
}

/** A part that gives no answer is not well; whoever asks would not wait for it. */
const ANSWER_MS = 3_000

async function outcome(run: Run, whatToDo: string): Promise<Check> {
  const toDetail = (found: string) => `${found.replace(/\.?$/, '.')} ${whatToDo}`
  const bound = new AbortController()
  try {
    const late = sleep(ANSWER_MS, undefined, { signal: bound.signal }).then(() => {
      throw new Error(`It gave no answer within ${ANSWER_MS / 1_000} seconds.`)
    })
    const running = run()
    // Whoever loses the race says nothing new.
    late.catch(() => {})
    running.catch(() => {})
    const detail = await Promise.race([running, late])
    return typeof detail === 'string' ? { ok: true, detail: toDetail(detail) } : { ok: true }
  } catch (error) {
    return { ok: false, detail: toDetail(error instanceof Error ? error.message : 'It failed') }
  } finally {
    bound.abort()
  }
}
