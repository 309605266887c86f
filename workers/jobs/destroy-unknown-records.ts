// Running it twice is harmless: a record is deleted once, and what is gone is not listed again. The event comes first, so that a
// crash in between loses none: the next start finds the record again and tells it once more.

import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { listTemporalKeys } from '../../database/repositories/temporal-keys.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import type { TemporalKeyName, TemporalKeyStore } from '../../runtime/temporal/temporal-key-store.ts'

export interface DestroyUnknownRecordsParts {
  database: Database
  store: TemporalKeyStore
  crypto: Primitives
  writeEvent: WriteEvent
}

/**
 * Destroys the records that no row names: of a process that was killed before it recorded its key, or of a time that the restore
 * of an older database took back. Nobody else would ever destroy them, and the schedule would take one up as its own. For the
 * start only, before keys are made: later, a record whose row is about to follow looks the same.
 */
export async function destroyUnknownRecords(
  parts: DestroyUnknownRecordsParts,
  now: number,
): Promise<TemporalKeyName[]> {
  const destroyed: TemporalKeyName[] = []
  for (const name of await parts.store.list()) {
    const rows = await parts.database.withoutOrganization((tx) => listTemporalKeys(tx, name.kind, name.number))
    if (rows.some(({ generation }) => generation === name.generation)) continue
    const record = await parts.store.find(name)
    if (record === undefined) continue
    // No row: the schedule makes the key of this name anew, which a row of a destroyed one would forbid.
    await recordDestruction(parts, name, parts.crypto.hash256(record), now)
    await parts.store.destroy(name)
    destroyed.push(name)
  }
  return destroyed
}

async function recordDestruction(
  parts: DestroyUnknownRecordsParts,
  { kind, number, generation }: TemporalKeyName,
  recordHash: Uint8Array,
  now: number,
): Promise<void> {
  const event = parts.writeEvent(
    {
      organizationId: NIL_UUID,
      actor: { type: 'service', id: NIL_UUID },
      type: 'temporal_key.unknown_destroyed',
      subject: { kind, number, generation },
      data: { recordHash: toBase64url(recordHash), how: parts.store.isErasable ? 'erased' : 'best-effort' },
      requestId: newId(),
    },
    now,
  )
  await parts.database.withOrganization(NIL_UUID, (tx) => insertEvents(tx, [event]))
}
