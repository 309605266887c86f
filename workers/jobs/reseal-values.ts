// Running it twice is harmless: what is under the newest version is not found again. It goes on where it was stopped, batch by batch.

import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  countStaleIdentityMacs,
  type IdentityMac,
  listSealedSeeds,
  listStaleIdentityMacs,
  lockStaleIdentityMacs,
  markIdentityMacMismatched,
  replaceIdentityMacs,
  replaceSealedSeed,
} from '../../database/repositories/keks.ts'
import { lockKeyRotation } from '../../database/repositories/signing-keys.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Happening, WriteEvent } from '../../runtime/audit-events.ts'
import { isIdentityKeyGenuine, macIdentityKey } from '../../runtime/custody/identity-key-mac.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { keyVersionOf } from '../../runtime/custody/sealed-record.ts'
import { signingKeyPlace } from '../../runtime/custody/service-keys.ts'
import { newId } from '../../runtime/ids.ts'
import { renewAttesterMacs } from '../rotation/renew-attester-macs.ts'
import { renewInputMacs } from '../rotation/renew-input-macs.ts'
import { renewPolicyMacs } from '../rotation/renew-policy-macs.ts'

export interface ResealValuesParts {
  database: Database
  keyring: Keyring
  writeEvent: WriteEvent
}

/** Told between two batches, and waited for; what it throws ends the job, and what is done stays. */
export type ResealProgress = (done: number, total: number) => Promise<void>

const BATCH = 500

/**
 * Brings what lasts under the newest key-encryption keys: the seeds of signing keys and the MACs of identity keys,
 * appraisal policies, trust anchors and reference values. Challenges and temporal records end by themselves within hours. `mismatched`: those whose MAC
 * is wrong; each is told of once, by an event of severity critical, and is not made good.
 */
export async function resealValues(
  parts: ResealValuesParts,
  now: number,
  progress: ResealProgress = async () => {},
): Promise<{ seeds: number; macs: number; mismatched: number }> {
  const seeds = await resealSeeds(parts, now)
  const policies = await renewPolicyMacs(parts, now)
  const attesters = await renewAttesterMacs(parts, now)
  const inputs = await renewInputMacs(parts, now)
  const version = parts.keyring.activeVersion('identityMac')
  const total = await parts.database.withoutOrganization((tx) => countStaleIdentityMacs(tx, version))
  let macs = 0
  let mismatched = 0
  for (;;) {
    const stale = await parts.database.withoutOrganization((tx) => listStaleIdentityMacs(tx, version, BATCH))
    if (stale.length === 0) {
      return {
        seeds,
        macs: macs + policies.renewed + attesters.renewed + inputs.renewed,
        mismatched: mismatched + policies.mismatched + attesters.mismatched + inputs.mismatched,
      }
    }
    for (const [organizationId, keys] of Map.groupBy(stale, (key) => key.organizationId)) {
      const kids = keys.map(({ kid }) => kid)
      const done = await renewMacs(parts, { organizationId, kids, version }, now)
      macs += done.renewed
      mismatched += done.mismatched
    }
    await progress(Math.min(macs + mismatched, total), total)
  }
}

/** They are few; the lock keeps them from being retired meanwhile. */
function resealSeeds({ database, keyring, writeEvent }: ResealValuesParts, now: number): Promise<number> {
  return database.withOrganization(NIL_UUID, async (tx) => {
    await lockKeyRotation(tx)
    const version = keyring.activeVersion('signingKey')
    const stale = (await listSealedSeeds(tx)).filter(
      ({ sealedSeed }) => keyVersionOf(sealedSeed, 'signingKey') < version,
    )
    if (stale.length === 0) return 0
    for (const old of stale) {
      const place = signingKeyPlace(old.kid)
      const seed = await keyring.open('signingKey', place, old.sealedSeed)
      const isReplaced = await replaceSealedSeed(tx, old, keyring.seal('signingKey', place, seed))
      seed.fill(0)
      if (!isReplaced) throw new Error(`The seed of ${old.kid} changed under the lock.`)
    }
    const subject = { purpose: 'signingKey', version }
    const happened = [{ type: 'kek.resealed', subject, data: { values: stale.length } }] as const
    await insertEvents(tx, toEvents(writeEvent, NIL_UUID, happened, now))
    return stale.length
  })
}

/** Each is verified before it is made anew: a key that somebody put there must not get a good MAC from us. */
function renewMacs(
  { database, keyring, writeEvent }: ResealValuesParts,
  { organizationId, kids, version }: { organizationId: string; kids: readonly string[]; version: number },
  now: number,
): Promise<{ renewed: number; mismatched: number }> {
  return database.withOrganization(organizationId, async (tx) => {
    const genuine: IdentityMac[] = []
    const wrong: IdentityMac[] = []
    for (const key of await lockStaleIdentityMacs(tx, version, kids)) {
      const isGenuine = await isIdentityKeyGenuine(keyring, { ...key, organizationId })
      ;(isGenuine ? genuine : wrong).push(key)
    }
    const made = genuine.map((key) => ({ kid: key.kid, ...macIdentityKey(keyring, { ...key, organizationId }) }))
    // A version that is newer than the one that was looked for is as good; all of one batch have the same.
    const madeVersion = made[0]?.version ?? version
    if (made.length > 0) await replaceIdentityMacs(tx, made, madeVersion)
    for (const { kid } of wrong) await markIdentityMacMismatched(tx, kid, now)
    const subject = { purpose: 'identityMac', version: madeVersion }
    const resealed = { type: 'kek.resealed', subject, data: { values: made.length } } as const
    const happened = [
      ...(made.length > 0 ? [resealed] : []),
      ...wrong.map(
        ({ kid, principalId }) =>
          ({ type: 'identity_key.mac_mismatched', subject: { deviceId: principalId }, data: { kid } }) as const,
      ),
    ]
    await insertEvents(tx, toEvents(writeEvent, organizationId, happened, now))
    return { renewed: made.length, mismatched: wrong.length }
  })
}

function toEvents(
  writeEvent: WriteEvent,
  organizationId: string,
  happened: readonly Happening<'kek.resealed' | 'identity_key.mac_mismatched'>[],
  now: number,
) {
  const shared = { organizationId, actor: { type: 'service', id: NIL_UUID }, requestId: newId() } as const
  return happened.map((happening) => writeEvent({ ...shared, ...happening }, now))
}
