import type { Client } from 'pg'
import { BUCKET_MS, bucketAt } from '../../protocol/exchange/bucket.ts'
import { SESSION_MS } from '../../protocol/exchange/session-states.ts'
import { endSessions } from '../../workers/jobs/end-sessions.ts'
import { pruneSessions } from '../../workers/jobs/prune-sessions.ts'
import type { BenchService } from '../exchange/start-service.ts'
import { type Figure, summarize } from '../figure.ts'
import { registerDevices } from '../scale/register-devices.ts'
import { openSchedule } from './open-schedule.ts'

/** Sessions that are ended one by one, with an event each. */
const MAX_ENDED = 50_000
/** Of the sessions that are pruned, which are long over. */
const OLD_DAY = Date.UTC(2021, 2, 4)

export interface PruningOptions {
  /** The last is how many sessions are pruned. */
  sizes: readonly number[]
}

/** How many sessions that have expired are ended in a second, and how long it takes until a day of them is gone. */
export async function reportPruning(
  { sizes }: PruningOptions,
  progress: (message: string) => void,
  noteService: (service: Pick<BenchService, 'connectDatabase'>) => Promise<void>,
): Promise<Figure[]> {
  const size = sizes.at(-1) ?? 1
  const now = Date.now()
  await using schedule = await openSchedule(now)
  await noteService(schedule)
  const client = await schedule.connectDatabase()
  try {
    const ended = Math.min(size, MAX_ENDED)
    progress(`pruning: ending ${ended} sessions`)
    await registerDevices(client, 1, ended)
    const begun = performance.now()
    const { EXPIRED } = await endSessions(schedule.parts, now + 2 * SESSION_MS)
    const perSecond = EXPIRED / ((performance.now() - begun) / 1_000)
    progress(`pruning: a day of ${size} sessions`)
    await seedEndedSessions(client, size)
    const startedAt = performance.now()
    await pruneSessions({ ...schedule.parts, retentionDays: 7 }, now)
    const prunedMs = performance.now() - startedAt
    return [
      summarize({ part: 'pruning', name: 'sessions ended by time', unit: '/s', better: 'higher' }, [perSecond]),
      summarize({ part: 'pruning', name: `a day of ${size} sessions`, unit: 'ms', target: 2_000 }, [prunedMs]),
    ]
  } finally {
    await client.end()
  }
}

/** As they are after they expired. */
async function seedEndedSessions(client: Client, count: number): Promise<void> {
  await client.query('select make_session_partition($1)', [new Date(OLD_DAY).toISOString().slice(0, 10)])
  const bucket = bucketAt(OLD_DAY)
  const time = (bucket * BUCKET_MS).toString(16).padStart(12, '0')
  await client.query(
    `insert into session (organization_id, id, principal_id, state, suite, bucket, last_epoch, created_at, expires_at,
        confirmed_at, ended_at)
      select o.id, ($1 || '8' || substr(md5(i::text), 1, 3) || '8' || substr(md5(i::text), 4, 15))::uuid, gen_random_uuid(),
        'EXPIRED', 'ML-KEM-1024', $2, $3, $4, $5, $4, $5
      from generate_series(1, $6::int) i, (select id from organization limit 1) o`,
    [time, bucket, bucket + 12, new Date(OLD_DAY), new Date(OLD_DAY + SESSION_MS), count],
  )
  await client.query('vacuum analyze session')
  await client.query('checkpoint')
}
