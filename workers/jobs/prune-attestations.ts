// Running it twice is harmless, halfway and at once too: a result is kept once, partitions are dropped once, in the transaction of
// their event, and PostgreSQL drops none with a result that is relied upon and not kept. What is gone is not listed again.

import type { Database, Tx } from '../../database/open.ts'
import {
  deleteKeptResults,
  dropAttestationPartition,
  keepResults,
  listAttestationPartitions,
  listReliedResults,
  listUnneededResults,
} from '../../database/repositories/attestation-retention.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Happening, LoggedEvent, WriteEvent } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Progress } from '../job.ts'

const DAY_MS = 86_400_000
/** Results of one look-up; those of an organization are of one transaction. */
const BATCH = 1_000

export interface PruneAttestationsParts {
  database: Database
  writeEvent: WriteEvent
  /** After the end of a week; at least 7. */
  attestationRetentionDays: number
}

export interface PrunedAttestations {
  /** UTC, `YYYY-MM-DD`: all of them were made before it. */
  until: string
  results: number
  evidence: number
}

/**
 * Drops the partitions of results and evidence of weeks that ended longer ago than the retention, the oldest first. Results that
 * somebody relies on still are kept apart before, without their evidence, and go when nobody does any more. `progress` is told how
 * many of the partitions are done.
 */
export async function pruneAttestations(
  parts: PruneAttestationsParts,
  now: number,
  progress: Progress = async () => {},
): Promise<PrunedAttestations[]> {
  const { database } = parts
  const madeBefore = now - parts.attestationRetentionDays * DAY_MS
  const ends = await database.withoutOrganization(listAttestationPartitions)
  const old = ends.filter((until) => Date.parse(until) <= madeBefore)
  const pruned: PrunedAttestations[] = []
  for (const [index, until] of old.entries()) {
    await inBatches(database, (tx) => listReliedResults(tx, until, BATCH), keepResults)
    const dropped = await drop(parts, { until, madeBefore }, now)
    if (dropped !== undefined) pruned.push({ until, ...dropped })
    await progress(index + 1, old.length)
  }
  await inBatches(
    database,
    (tx) => listUnneededResults(tx, BATCH),
    (tx, ids, organizationId) => release(parts, tx, { ids, organizationId }, now),
  )
  return pruned
}

export async function pruneOldAttestations(
  parts: PruneAttestationsParts & { logger: Logger },
  now: number,
  progress: Progress,
): Promise<void> {
  for (const { until, results } of await pruneAttestations(parts, now, progress))
    parts.logger.info(`results and evidence of before ${until} were dropped`, { count: results })
}

/** Until nothing is found, or what is found was not changed: that is somebody else's to do, who is at it. */
async function inBatches(
  database: Database,
  find: (tx: Tx) => Promise<{ organizationId: string; id: string }[]>,
  change: (tx: Tx, ids: readonly string[], organizationId: string) => Promise<number>,
): Promise<void> {
  for (;;) {
    const found = await database.withoutOrganization(find)
    let changed = 0
    for (const [organizationId, own] of Map.groupBy(found, (name) => name.organizationId)) {
      const ids = own.map(({ id }) => id)
      changed += await database.withOrganization(organizationId, (tx) => change(tx, ids, organizationId))
    }
    if (changed === 0) return
  }
}

async function drop(
  parts: PruneAttestationsParts,
  { until, madeBefore }: { until: string; madeBefore: number },
  now: number,
): Promise<{ results: number; evidence: number } | undefined> {
  return parts.database.withOrganization(NIL_UUID, async (tx) => {
    const dropped = await dropAttestationPartition(tx, until, madeBefore)
    if (dropped === undefined) return undefined
    const happening = { type: 'attestations.pruned', subject: {}, data: { before: until, ...dropped } } as const
    await insertEvents(tx, [serviceEvent(parts.writeEvent, NIL_UUID, happening, now)])
    return dropped
  })
}

async function release(
  { writeEvent }: PruneAttestationsParts,
  tx: Tx,
  { ids, organizationId }: { ids: readonly string[]; organizationId: string },
  now: number,
): Promise<number> {
  const results = await deleteKeptResults(tx, ids)
  if (results === 0) return 0
  const happening = { type: 'attestations.released', subject: {}, data: { results } } as const
  await insertEvents(tx, [serviceEvent(writeEvent, organizationId, happening, now)])
  return results
}

function serviceEvent(
  writeEvent: WriteEvent,
  organizationId: string,
  happening: Happening<'attestations.pruned' | 'attestations.released'>,
  now: number,
): LoggedEvent {
  return writeEvent({ organizationId, actor: { type: 'service', id: NIL_UUID }, ...happening, requestId: newId() }, now)
}
