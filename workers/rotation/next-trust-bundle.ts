import type { Tx } from '../../database/open.ts'
import { listSigningKeys } from '../../database/repositories/signing-keys.ts'
import { putTrustDraft, storeSignedDraft } from '../../database/repositories/trust-drafts.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { TrustBundle, TrustKey, UnsignedTrustBundle } from '../../protocol/trust.ts'
import type { TrustDifference } from '../../protocol/trust-draft.ts'
import type { Happening } from '../../runtime/audit-events.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { signTrustBundle } from '../../runtime/custody/sign-trust-bundle.ts'
import type { Signer } from '../../runtime/custody/signer.ts'
import {
  happeningsOfSigned,
  kidsOf,
  type SignedDraftHappening,
  verifyTrustDraft,
} from '../../runtime/custody/trust-draft.ts'
import type { RotatedUse, RotationTimes } from '../../runtime/rotation-setting.ts'

interface Parts {
  crypto: Primitives
  keyring: Keyring
  rotation: RotationTimes
}

/** The draft of the next bundle with these keys, in the place of one that waits. */
export async function draftTrustBundle(
  tx: Tx,
  { crypto, keyring, rotation }: Parts,
  { trust, keys }: { trust: TrustBundle; keys: TrustKey[] },
  now: number,
): Promise<Happening<'trust.bundle_drafted'>> {
  const draft = { trustDomain: trust.trustDomain, sequence: trust.sequence + 1, keys }
  const { difference } = await openDraft({ crypto, keyring }, tx, trust, draft)
  await putTrustDraft(tx, { body: draft, signBefore: signBefore(trust, difference, rotation) }, now)
  return {
    type: 'trust.bundle_drafted',
    subject: {},
    data: { trustSequence: draft.sequence, ...kidsOf(difference) },
  }
}

/** What waits for the root of trust, and is what this service wrote. */
export interface AwaitedDraft {
  draft: UnsignedTrustBundle
  difference: TrustDifference
}

/** Throws SealError, and the ProtocolError `trust_invalid`, when somebody changed what is stored. */
export async function openDraft(
  { crypto, keyring }: Pick<Parts, 'crypto' | 'keyring'>,
  tx: Tx,
  trust: TrustBundle,
  draft: UnsignedTrustBundle,
): Promise<AwaitedDraft> {
  const stored = await listSigningKeys(tx)
  return { draft, difference: await verifyTrustDraft(crypto, keyring, { held: trust, draft, stored }) }
}

/** Of a root of trust that is back: what waited for it is signed. */
export async function signDraft(
  tx: Tx,
  root: Signer,
  { draft, difference }: AwaitedDraft,
  now: number,
): Promise<SignedDraftHappening[]> {
  if (!(await storeSignedDraft(tx, await signTrustBundle(root, draft), now))) {
    throw new Error(`The draft of trust bundle ${draft.sequence} changed under the lock.`)
  }
  return happeningsOfSigned(root.keyId, draft.sequence, difference)
}

/** The key before a new one signs until its end at the latest, and the new one is published for its overlap before it signs. */
function signBefore(trust: TrustBundle, { added }: TrustDifference, { overlap }: RotationTimes): number | undefined {
  const ends = added.map(({ use, alg }) => {
    const before = trust.keys.filter((key) => key.use === use && key.alg === alg)
    return Math.max(...before.map(({ notAfter }) => notAfter)) - overlap[use as RotatedUse]
  })
  return ends.length === 0 ? undefined : Math.min(...ends)
}
