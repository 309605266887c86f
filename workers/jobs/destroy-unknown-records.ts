// Running it twice is harmless: a record is deleted once, and what is gone is not listed again. The event comes first, so that a
// crash in between loses none: the next start finds the record again and tells it once more.

import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { listTemporalKeys, lockTemporalRecords } from '../../database/repositories/temporal-keys.ts'
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
 * Destroys the records that no row of an alive key names: of a process that was killed before it recorded its key, of a time that
 * the restore of an older database took back, or of a store that was taken back itself. Nobody else would ever destroy them, and the schedule would take one up as its own. For the
 * start, before this process makes keys; others may be making theirs, whose rows are waited for.
 */
export async function destroyUnknownRecords(
  parts: DestroyUnknownRecordsParts,
  now: number,
): Promise<TemporalKeyName[]> {
  const destroyed: TemporalKeyName[] = []
  for (const name of await parts.store.list()) {
    if (await parts.database.withoutOrganization((tx) => isAlive(tx, name))) continue
    if (await destroyIfUnknown(parts, name, now)) destroyed.push(name)
  }
  return destroyed
}

/** False for a record that an alive key's row names, or that is gone. Waits for the rows of those that are being made. */
export function destroyIfUnknown(
  parts: DestroyUnknownRecordsParts,
  name: TemporalKeyName,
  now: number,
): Promise<boolean> {
  // The lock is held beside the transaction that writes the event: from the look at the rows until the record is gone.
  return parts.database.withoutOrganization(async (tx) => {
    await lockTemporalRecords(tx)
    return !(await isAlive(tx, name)) && (await destroyUnknown(parts, name, now))
  })
}

async function isAlive(tx: Tx, name: TemporalKeyName): Promise<boolean> {
  const rows = await listTemporalKeys(tx, name.kind, name.number)
  return rows.some(({ generation, destroyedAt }) => generation === name.generation && destroyedAt === undefined)
}

async function destroyUnknown(parts: DestroyUnknownRecordsParts, name: TemporalKeyName, now: number): Promise<boolean> {
  const record = await parts.store.find(name)
  if (record === undefined) return false
  // No row: the schedule makes the key of this name anew, which a row of a destroyed one would forbid.
  await recordDestruction(parts, name, parts.crypto.hash256(record), now)
  return parts.store.destroy(name)
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
