import type { Database } from '../database/open.ts'
import { insertEvents } from '../database/repositories/audit-outbox.ts'
import { reserveUses } from '../database/repositories/keks.ts'
import { NIL_UUID } from '../protocol/log/audit-event.ts'
import type { WriteEvent } from '../runtime/audit-events.ts'
import type { Clock } from '../runtime/clock.ts'
import { KEK_OVERUSED, KekUsesError, type ReserveKekUses } from '../runtime/custody/kek-uses.ts'
import { sealPurposes } from '../runtime/custody/sealed-record.ts'
import { newId } from '../runtime/ids.ts'

/** Counts in the database, for any process that seals. The one that makes a key overused writes the event, whatever became of the workers. */
export function createReserveKekUses(parts: {
  database: Database
  clock: Pick<Clock, 'now'>
  writeEvent: WriteEvent
}): ReserveKekUses {
  const { database, clock, writeEvent } = parts
  return (purpose, version, count) =>
    database.withOrganization(NIL_UUID, async (tx) => {
      const uses = await reserveUses(tx, { purpose: sealPurposes[purpose], version }, count)
      if (uses === undefined) {
        throw new KekUsesError(`The key-encryption key ${version} of ${purpose} has sealed as often as one may.`)
      }
      if (uses < KEK_OVERUSED || uses - count >= KEK_OVERUSED) return
      const event = writeEvent(
        {
          organizationId: NIL_UUID,
          actor: { type: 'service', id: NIL_UUID },
          type: 'kek.overused',
          subject: { purpose, version },
          data: { uses },
          requestId: newId(),
        },
        clock.now(),
      )
      await insertEvents(tx, [event])
    })
}
