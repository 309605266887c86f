// Running it twice is harmless, halfway and at once too: a key is flagged by an update that finds it without a flag, and only what
// that hits has an event.

import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { flagIdentityKeys, listUnflaggedIdentityKeys } from '../../database/repositories/identity-keys.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'

/** Keys that one look-up gives; those of one organization among them are one transaction. */
const BATCH = 500
const DAY_MS = 86_400_000

/** What a job calls between its steps: how much is done, and of how much, as far as it is known. */
type Progress = (done: number, total: number) => Promise<void>

/** Flags the identity keys in use that are older than the setting, each with its event. */
export async function flagOldIdentityKeys(
  parts: { database: Database; writeEvent: WriteEvent; logger: Logger; identityKeyMaxAgeDays: number },
  now: number,
  progress: Progress,
): Promise<void> {
  if (parts.identityKeyMaxAgeDays === 0) return
  const madeBefore = now - parts.identityKeyMaxAgeDays * DAY_MS
  let flagged = 0
  for (;;) {
    const due = await parts.database.withoutOrganization((tx) => listUnflaggedIdentityKeys(tx, madeBefore, BATCH))
    const before = flagged
    for (const [organizationId, keys] of Map.groupBy(due, (key) => key.organizationId)) {
      const kids = keys.map(({ kid }) => kid)
      flagged += await flagKeys(parts, organizationId, kids, now)
      await progress(flagged, before + due.length)
    }
    // None of a whole batch: somebody else is flagging them, and will see to the rest.
    if (due.length < BATCH || flagged === before) break
  }
  if (flagged > 0) parts.logger.info('old identity keys were flagged', { count: flagged })
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
