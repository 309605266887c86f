// Running it twice is harmless: a partition that exists is left as it is.

import type { Database } from '../../database/open.ts'
import { makeAttestationPartition } from '../../database/repositories/attestation-retention.ts'

const WEEK_MS = 7 * 86_400_000
const WEEKS_AHEAD = 4

/** Partitions of this week and the weeks ahead. Returns days of the weeks that were missing. */
export async function makeAttestationPartitions(database: Database, now: number): Promise<string[]> {
  const made: string[] = []
  for (let week = 0; week <= WEEKS_AHEAD; week++) {
    const day = new Date(now + week * WEEK_MS).toISOString().slice(0, 10)
    const isNew = await database.withoutOrganization((tx) => makeAttestationPartition(tx, day))
    if (isNew) made.push(day)
  }
  return made
}
