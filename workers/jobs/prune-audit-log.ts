import type { Database } from '../../database/open.ts'
import { pruneCheckpoints, removeOldEntries } from '../../database/repositories/audit-log.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'

const YEAR_MS = 365.25 * 86_400_000

/**
 * Forgets checkpoints that nobody needs, and removes the bodies of entries that are older than the retention, partition by
 * partition, each with its event in the same transaction. Twice is harmless: what is gone is not found again.
 */
export async function pruneAuditLog(
  parts: { database: Database; writeEvent: WriteEvent; logger: Logger; retentionYears: number | undefined },
  now: number,
): Promise<void> {
  await parts.database.withoutOrganization(pruneCheckpoints)
  if (parts.retentionYears === undefined) return
  const olderThan = now - parts.retentionYears * YEAR_MS
  for (;;) {
    const removed = await parts.database.withOrganization(NIL_UUID, async (tx) => {
      const range = await removeOldEntries(tx, olderThan)
      if (range === undefined) return undefined
      const event = parts.writeEvent(
        {
          organizationId: NIL_UUID,
          actor: { type: 'service', id: NIL_UUID },
          type: 'audit_log.entries_removed',
          subject: {},
          data: { ...range },
          requestId: newId(),
        },
        now,
      )
      await insertEvents(tx, [event])
      return range
    })
    if (removed === undefined) return
    parts.logger.info('the bodies of old audit entries were removed', { count: removed.toIndex - removed.fromIndex })
  }
}
