import type { Database } from '../../database/open.ts'
import {
  type InputName,
  listStaleInputMacs,
  lockStaleInput,
  markInputMacMismatched,
  replaceInputMac,
} from '../../database/repositories/attestation-inputs.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Happening, WriteEvent } from '../../runtime/audit-events.ts'
import { isInputGenuine, macInput } from '../../runtime/custody/attestation-input-mac.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { newId } from '../../runtime/ids.ts'

export interface RenewInputMacsParts {
  database: Database
  keyring: Keyring
  writeEvent: WriteEvent
}

const BATCH = 500

/**
 * Brings the MACs of trust anchors and reference values under the newest key, each in a transaction of its own. Each is verified before:
 * what somebody put there must not get a good MAC from us. Of one that is wrong one event of severity critical tells.
 */
export async function renewInputMacs(
  parts: RenewInputMacsParts,
  now: number,
): Promise<{ renewed: number; mismatched: number }> {
  const below = parts.keyring.activeVersion('identityMac')
  const done = { renewed: 0, mismatched: 0 }
  for (;;) {
    const stale = await parts.database.withoutOrganization((tx) => listStaleInputMacs(tx, below, BATCH))
    if (stale.length === 0) return done
    for (const named of stale) {
      const outcome = await renewInputMac(parts, named, { below, now })
      if (outcome !== undefined) done[outcome]++
    }
  }
}

/** Undefined when somebody else did it meanwhile. */
function renewInputMac(
  { database, keyring, writeEvent }: RenewInputMacsParts,
  { organizationId, ...named }: InputName & { organizationId: string },
  { below, now }: { below: number; now: number },
): Promise<'renewed' | 'mismatched' | undefined> {
  return database.withOrganization(organizationId, async (tx) => {
    const row = await lockStaleInput(tx, below, named)
    if (row === undefined) return undefined
    const isGenuine = await isInputGenuine(keyring, row)
    const { mac, version } = macInput(keyring, row)
    if (isGenuine) await replaceInputMac(tx, named, { mac, macKeyVersion: version })
    else await markInputMacMismatched(tx, named, now)
    const happened: Happening<'kek.resealed' | 'trust_anchor.mac_mismatched' | 'reference_value.mac_mismatched'> =
      isGenuine
        ? { type: 'kek.resealed', subject: { purpose: 'identityMac', version }, data: { values: 1 } }
        : mismatch(named)
    const by = { organizationId, actor: { type: 'service', id: NIL_UUID }, requestId: newId() } as const
    await insertEvents(tx, [writeEvent({ ...by, ...happened }, now)])
    return isGenuine ? 'renewed' : 'mismatched'
  })
}

function mismatch({
  input,
  id,
}: InputName): Happening<'trust_anchor.mac_mismatched' | 'reference_value.mac_mismatched'> {
  return input === 'trust_anchor'
    ? { type: 'trust_anchor.mac_mismatched', subject: { trustAnchorId: id }, data: {} }
    : { type: 'reference_value.mac_mismatched', subject: { referenceValueId: id }, data: {} }
}
