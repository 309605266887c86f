// Running it twice is harmless, halfway and at once too: what is missed is counted by an update that moves the deadline on, behind the
// lock of the principal, and has its event in the same transaction. Who attests meanwhile is left out, and is overdue no more.

import type { Database } from '../../database/open.ts'
import { countMissedAttestations, listOverdueAttestations } from '../../database/repositories/attestation-deadlines.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { ATTESTATION_INTERVAL_MS, MISSED_UNTIL_OVERDUE } from '../../protocol/attestation/intervals.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'

/** Devices that one look-up gives, and those of one transaction: who attests meanwhile waits for one of these at most. */
const PAGE = 5_000
const BATCH = 250

export interface WatchAttestationsParts {
  database: Database
  writeEvent: WriteEvent
}

/**
 * Counts the attestations that devices miss while they are in a session, and tells of whoever has missed two in a row: once, until it
 * attests again, which heals it. Devices without a session have nothing to attest for. How many are overdue for the first time.
 */
export async function watchAttestations(
  parts: WatchAttestationsParts,
  now: number,
  progress: (done: number, total: number) => Promise<void> = async () => {},
): Promise<number> {
  let overdue = 0
  let done = 0
  for (;;) {
    const dueBefore = now - ATTESTATION_INTERVAL_MS
    const found = await parts.database.withoutOrganization((tx) => listOverdueAttestations(tx, dueBefore, PAGE))
    const before = done
    for (const [organizationId, devices] of Map.groupBy(found, (device) => device.organizationId)) {
      const ids = devices.map(({ id }) => id)
      for (let from = 0; from < ids.length; from += BATCH) {
        const counted = await countBatch(parts, organizationId, ids.slice(from, from + BATCH), now)
        overdue += counted.overdue
        done += counted.seen
        await progress(done, before + found.length)
      }
    }
    // None of a whole page: somebody else has them all, and will see to the rest.
    if (found.length < PAGE || done === before) return overdue
  }
}

export async function watchAttestationsInTime(
  parts: WatchAttestationsParts & { logger: Logger },
  now: number,
  progress: (done: number, total: number) => Promise<void>,
): Promise<void> {
  const count = await watchAttestations(parts, now, progress)
  if (count > 0) parts.logger.warn('devices have missed two attestations in a row', { count })
}

function countBatch(
  parts: WatchAttestationsParts,
  organizationId: string,
  ids: readonly string[],
  now: number,
): Promise<{ seen: number; overdue: number }> {
  return parts.database.withOrganization(organizationId, async (tx) => {
    const at = { now, intervalMs: ATTESTATION_INTERVAL_MS }
    const { seen, missed } = await countMissedAttestations(tx, ids, at)
    const overdue = missed.filter((device) => device.missed === MISSED_UNTIL_OVERDUE)
    const requestId = newId()
    const events = overdue.map(({ id, missed: count }) =>
      parts.writeEvent(
        {
          organizationId,
          actor: { type: 'service', id: NIL_UUID },
          type: 'device.attestation_overdue',
          subject: { deviceId: id },
          data: { missed: count },
          requestId,
        },
        now,
      ),
    )
    if (events.length > 0) await insertEvents(tx, events)
    return { seen, overdue: overdue.length }
  })
}
