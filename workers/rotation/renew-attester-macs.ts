import type { Database } from '../../database/open.ts'
import {
  type AttesterStateRow,
  listStaleAttesterMacs,
  lockStaleAttester,
  markAttesterMacMismatched,
  replaceAttesterMac,
} from '../../database/repositories/attester-states.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Happening, WriteEvent } from '../../runtime/audit-events.ts'
import { isAttesterGenuine, macAttester } from '../../runtime/custody/attester-mac.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { newId } from '../../runtime/ids.ts'

export interface RenewAttesterMacsParts {
  database: Database
  keyring: Keyring
  writeEvent: WriteEvent
}

const BATCH = 500

/**
 * Brings the MACs of attester states under the newest key, each in a transaction of its own: those of devices that have not attested
 * since, for whoever attests gets a new one. Each is verified before; of one that is wrong one event of severity critical tells, and it
 * is not made good.
 */
export async function renewAttesterMacs(
  parts: RenewAttesterMacsParts,
  now: number,
): Promise<{ renewed: number; mismatched: number }> {
  const below = parts.keyring.activeVersion('identityMac')
  const done = { renewed: 0, mismatched: 0 }
  for (;;) {
    const stale = await parts.database.withoutOrganization((tx) => listStaleAttesterMacs(tx, below, BATCH))
    if (stale.length === 0) return done
    for (const named of stale) {
      const outcome = await renewAttesterMac(parts, named, { below, now })
      if (outcome !== undefined) done[outcome]++
    }
  }
}

/** Undefined when somebody else did it meanwhile. */
function renewAttesterMac(
  { database, keyring, writeEvent }: RenewAttesterMacsParts,
  named: Pick<AttesterStateRow, 'organizationId' | 'principalId' | 'format'>,
  { below, now }: { below: number; now: number },
): Promise<'renewed' | 'mismatched' | undefined> {
  const { organizationId, principalId, format } = named
  return database.withOrganization(organizationId, async (tx) => {
    const attester = await lockStaleAttester(tx, below, named)
    if (attester === undefined) return undefined
    const isGenuine = await isAttesterGenuine(keyring, attester)
    const { mac, version } = macAttester(keyring, attester)
    if (isGenuine) await replaceAttesterMac(tx, named, { mac, macKeyVersion: version })
    else await markAttesterMacMismatched(tx, named, now)
    const happened: Happening<'kek.resealed' | 'attester.mac_mismatched'> = isGenuine
      ? { type: 'kek.resealed', subject: { purpose: 'identityMac', version }, data: { values: 1 } }
      : { type: 'attester.mac_mismatched', subject: { deviceId: principalId }, data: { format } }
    const by = { organizationId, actor: { type: 'service', id: NIL_UUID }, requestId: newId() } as const
    await insertEvents(tx, [writeEvent({ ...by, ...happened }, now)])
    return isGenuine ? 'renewed' : 'mismatched'
  })
}
