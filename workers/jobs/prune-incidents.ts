// Running it twice is harmless, halfway and at once too: an incident goes with all that is of it, in the transaction of its event, and
// what is gone is not listed again.

import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  deleteOldIncidents,
  listOldIncidents,
  listOrganizationsWithOldCounts,
} from '../../database/repositories/incident-retention.ts'
import { forgetCounted } from '../../database/repositories/monitor.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Progress } from '../job.ts'

const DAY_MS = 86_400_000
/** Incidents of one look-up, each with up to a thousand events; those of an organization are of one transaction. */
const BATCH = 100

export interface PruneIncidentsParts {
  database: Database
  writeEvent: WriteEvent
  /** After their resolution; at least 30. */
  incidentRetentionDays: number
}

/**
 * Deletes incidents that were resolved longer ago than the retention, with their evidence, devices and notices, and what the monitor
 * has counted of organizations of which it has read nothing since; how many incidents. What nobody has resolved stays.
 */
export async function pruneIncidents(
  parts: PruneIncidentsParts,
  now: number,
  progress: Progress = async () => {},
): Promise<number> {
  const { database } = parts
  const before = now - parts.incidentRetentionDays * DAY_MS
  let pruned = 0
  for (;;) {
    const found = await database.withoutOrganization((tx) => listOldIncidents(tx, before, BATCH))
    let deleted = 0
    for (const [organizationId, own] of Map.groupBy(found, (incident) => incident.organizationId)) {
      const names = { organizationId, ids: own.map(({ id }) => id) }
      deleted += await database.withOrganization(organizationId, (tx) => prune(parts, tx, { ...names, before }, now))
      await progress(pruned + deleted, pruned + found.length)
    }
    pruned += deleted
    if (deleted === 0) break
  }
  for (const organizationId of await database.withoutOrganization((tx) => listOrganizationsWithOldCounts(tx, before))) {
    await database.withOrganization(organizationId, (tx) =>
      forgetCounted(tx, { watchedBefore: before, scoredBefore: before }),
    )
  }
  return pruned
}

export async function pruneOldIncidents(
  parts: PruneIncidentsParts & { logger: Logger },
  now: number,
  progress: Progress,
): Promise<void> {
  const count = await pruneIncidents(parts, now, progress)
  if (count > 0) parts.logger.info('incidents that were resolved long ago were deleted', { count })
}

/** Those that somebody else is deleting are left out. */
async function prune(
  { writeEvent }: PruneIncidentsParts,
  tx: Tx,
  { organizationId, ids, before }: { organizationId: string; ids: readonly string[]; before: number },
  now: number,
): Promise<number> {
  const incidents = await deleteOldIncidents(tx, ids, before)
  if (incidents === 0) return 0
  const event = writeEvent(
    {
      organizationId,
      actor: { type: 'service', id: NIL_UUID },
      type: 'incidents.pruned',
      subject: {},
      data: { resolvedBefore: before, incidents },
      requestId: newId(),
    },
    now,
  )
  await insertEvents(tx, [event])
  return incidents
}
