import type { Database } from '../../database/open.ts'
import {
  listStalePolicyMacs,
  lockStalePolicy,
  markPolicyMacMismatched,
  replacePolicyMac,
} from '../../database/repositories/appraisal-policies.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { type PolicyVersion, toPolicyId } from '../../protocol/attestation/policy-id.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Happening, WriteEvent } from '../../runtime/audit-events.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { isPolicyGenuine, macPolicy } from '../../runtime/custody/policy-mac.ts'
import { newId } from '../../runtime/ids.ts'

export interface RenewPolicyMacsParts {
  database: Database
  keyring: Keyring
  writeEvent: WriteEvent
}

const BATCH = 500

/**
 * Brings the MACs of appraisal policies under the newest key, each version in a transaction of its own. Each is verified before: what
 * somebody put there must not get a good MAC from us. Of one that is wrong one event of severity critical tells, and it is not made good.
 */
export async function renewPolicyMacs(
  parts: RenewPolicyMacsParts,
  now: number,
): Promise<{ renewed: number; mismatched: number }> {
  const below = parts.keyring.activeVersion('identityMac')
  const done = { renewed: 0, mismatched: 0 }
  for (;;) {
    const stale = await parts.database.withoutOrganization((tx) => listStalePolicyMacs(tx, below, BATCH))
    if (stale.length === 0) return done
    for (const named of stale) {
      const outcome = await renewPolicyMac(parts, named, { below, now })
      if (outcome !== undefined) done[outcome]++
    }
  }
}

/** Undefined when somebody else did it meanwhile. */
function renewPolicyMac(
  { database, keyring, writeEvent }: RenewPolicyMacsParts,
  { organizationId, ...named }: PolicyVersion & { organizationId: string },
  { below, now }: { below: number; now: number },
): Promise<'renewed' | 'mismatched' | undefined> {
  return database.withOrganization(organizationId, async (tx) => {
    const policy = await lockStalePolicy(tx, below, named)
    if (policy === undefined) return undefined
    const isGenuine = await isPolicyGenuine(keyring, policy)
    const { mac, version } = macPolicy(keyring, policy)
    if (isGenuine) await replacePolicyMac(tx, named, { mac, macKeyVersion: version })
    else await markPolicyMacMismatched(tx, named, now)
    const happened: Happening<'kek.resealed' | 'policy.mac_mismatched'> = isGenuine
      ? { type: 'kek.resealed', subject: { purpose: 'identityMac', version }, data: { values: 1 } }
      : { type: 'policy.mac_mismatched', subject: { policyId: toPolicyId(named) }, data: {} }
    const by = { organizationId, actor: { type: 'service', id: NIL_UUID }, requestId: newId() } as const
    await insertEvents(tx, [writeEvent({ ...by, ...happened }, now)])
    return isGenuine ? 'renewed' : 'mismatched'
  })
}
