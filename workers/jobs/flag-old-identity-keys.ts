import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { flagIdentityKeys, listUnflaggedIdentityKeys } from '../../database/repositories/identity-keys.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'

/** Keys that one look-up gives; those of one organization among them are one transaction. */
const BATCH = 500
const DAY_MS = 86_400_000

/**
 * Flags the identity keys in use that are older than the setting, each with its event, and gives how many those were. Twice is
 * harmless, halfway and at once too: a key is flagged by an update that finds it without a flag, and only what it hits has an event.
 */
export async function flagOldIdentityKeys(
  parts: { database: Database; writeEvent: WriteEvent; identityKeyMaxAgeDays: number },
  now: number,
  progress: (flagged: number) => Promise<void> = async () => {},
): Promise<number> {
  if (parts.identityKeyMaxAgeDays === 0) return 0
  const madeBefore = now - parts.identityKeyMaxAgeDays * DAY_MS
  let flagged = 0
  for (;;) {
    const due = await parts.database.withoutOrganization((tx) => listUnflaggedIdentityKeys(tx, madeBefore, BATCH))
    let inBatch = 0
    for (const [organizationId, keys] of Map.groupBy(due, (key) => key.organizationId)) {
      const kids = keys.map(({ kid }) => kid)
      inBatch += await flagKeys(parts, organizationId, kids, now)
    }
    flagged += inBatch
    await progress(flagged)
    // None of a whole batch: somebody else is flagging them, and will see to the rest.
    if (due.length < BATCH || inBatch === 0) return flagged
  }
}

async function flagKeys(
  parts: { database: Database; writeEvent: WriteEvent },
  organizationId: string,
  kids: readonly string[],
  now: number,
): Promise<number> {
  return parts.database.withOrganization(organizationId, async (tx) => {
    const flagged = await flagIdentityKeys(tx, kids, now)
    const requestId = newId()
    const events = flagged.map(({ kid, principalId, alg, createdAt }) =>
      parts.writeEvent(
        {
          organizationId,
          actor: { type: 'service', id: NIL_UUID },
          type: 'device.identity_due',
          subject: { deviceId: principalId },
          data: { kid, alg, since: createdAt },
          requestId,
        },
        now,
      ),
    )
    if (events.length > 0) await insertEvents(tx, events)
    return flagged.length
  })
}
