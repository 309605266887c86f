import { setTimeout as sleep } from 'node:timers/promises'
import type { Client } from 'pg'
import { countSessionsOfEpochs } from '../../database/repositories/session-ends.ts'
import { BUCKET_MS, bucketAt, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import { destroyTemporalKeys } from '../../workers/jobs/destroy-temporal-keys.ts'
import { makeTemporalKeys } from '../../workers/jobs/make-temporal-keys.ts'
import type { BenchService } from '../exchange/start-service.ts'
import { type Figure, summarize } from '../figure.ts'
import { registerDevices } from '../scale/register-devices.ts'
import { openSchedule, type Schedule } from './open-schedule.ts'

const ROTATIONS = 20
const COUNTS = 5
/** Seconds. */
const MAX_LOOKS = 60

export interface RotationOptions {
  /** ACTIVE sessions, ascending. */
  sizes: readonly number[]
}

/**
 * What a bucket's end costs at each number of ACTIVE sessions: the epoch and the bucket that are new are made, the old ones are
 * destroyed, each with its event and an fsync. The counting of the sessions, which is not part of it, has a figure of its own.
 */
export async function reportRotation(
  { sizes }: RotationOptions,
  progress: (message: string) => void,
  noteService: (service: Pick<BenchService, 'connectDatabase'>) => Promise<void>,
): Promise<Figure[]> {
  const begin = Date.now()
  await using schedule = await openSchedule(begin)
  await noteService(schedule)
  const client = await schedule.connectDatabase()
  const figures: Figure[] = []
  let seeded = 0
  let rotation = 0
  try {
    for (const size of sizes) {
      progress(`rotation: ${size} sessions`)
      await registerDevices(client, seeded + 1, size)
      seeded = size
      await settle(client)
      const counted = await timesOf(COUNTS, () =>
        schedule.parts.database.withoutOrganization((tx) => countSessionsOfEpochs(tx, Date.now())),
      )
      // The first makes all keys that there are.
      if (rotation === 0) await rotate(schedule, begin, rotation++)
      const rotated = await timesOf(ROTATIONS, () => rotate(schedule, begin, rotation++))
      const of = (name: string) => ({ part: 'rotation', name: `${name}, ${size} sessions`, unit: 'ms' as const })
      figures.push(
        summarize({ ...of('rotation of a bucket and an epoch'), target: 50 }, rotated),
        summarize(of('count of the sessions of all epochs'), counted),
      )
    }
  } finally {
    await client.end()
  }
  return figures
}

/** What the seeding left to do, the vacuums of PostgreSQL and the writes of the system, is not what a rotation costs. */
async function settle(client: Client): Promise<void> {
  const vacuums = `select from pg_stat_activity where backend_type = 'autovacuum worker'`
  for (let looks = 0; looks < MAX_LOOKS && ((await client.query(vacuums)).rowCount ?? 0) > 0; looks++)
    await sleep(1_000)
  await client.query('checkpoint')
  await sleep(5_000)
}

async function rotate({ parts }: Schedule, begin: number, rotation: number): Promise<void> {
  const now = bucketAt(begin) * BUCKET_MS + rotation * BUCKET_MS + GRACE_MS
  await destroyTemporalKeys(parts, { allow: (below) => below }, now)
  await makeTemporalKeys(parts, now)
}

async function timesOf(times: number, work: () => Promise<void>): Promise<number[]> {
  const samples: number[] = []
  for (let i = 0; i < times; i++) {
    const startedAt = performance.now()
    await work()
    samples.push(performance.now() - startedAt)
  }
  return samples
}
