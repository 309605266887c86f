// Running it twice is harmless: a partition that exists is left as it is.

import type { Database } from '../../database/open.ts'
import { makeSessionPartition } from '../../database/repositories/temporal-keys.ts'
import type { Logger } from '../../runtime/logger.ts'
import { makeAttestationPartitions } from './make-attestation-partitions.ts'

const DAY_MS = 86_400_000
const DAYS_AHEAD = 3

/** Partitions of yesterday (buckets in their grace), today and the days ahead. Returns the days that were missing. */
export async function makeSessionPartitions(database: Database, now: number): Promise<string[]> {
  const made: string[] = []
  for (let day = -1; day <= DAYS_AHEAD; day++) {
    const name = new Date(now + day * DAY_MS).toISOString().slice(0, 10)
    const isNew = await database.withoutOrganization((tx) => makeSessionPartition(tx, name))
    if (isNew) made.push(name)
  }
  return made
}

/** Of sessions, and of results and evidence. */
export async function makePartitionsAhead(parts: { database: Database; logger: Logger }, now: number): Promise<void> {
  const names = await makeSessionPartitions(parts.database, now)
  if (names.length > 0) parts.logger.info('session partitions made', { names })
  const weeks = await makeAttestationPartitions(parts.database, now)
  if (weeks.length > 0) parts.logger.info('attestation partitions made', { names: weeks })
}
