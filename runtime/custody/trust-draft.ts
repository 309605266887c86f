import { toBase64url } from '../../protocol/encoding.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { TrustKey, UnsignedTrustBundle } from '../../protocol/trust.ts'
import { compareTrustBundles, type TrustDifference } from '../../protocol/trust-draft.ts'
import type { Happening } from '../audit-events.ts'
import type { Keyring } from './keyring.ts'
import { SealError } from './sealed-record.ts'
import { openSigningKey, type SealedSigningKey } from './service-keys.ts'

/** As the database has it, which is not believed. */
export interface StoredSigningKey extends Omit<SealedSigningKey, 'sealedSeed'> {
  status: 'PUBLISHED' | 'ACTIVE' | 'RETIRED'
  sealedSeed: Uint8Array | undefined
  notBefore: number
  notAfter: number
}

/**
 * What a draft changes, when it is one that this service wrote: whoever writes to the database could put anything there, and a
 * person would sign it. Every new key is one whose seed opens, and nothing is taken away or ended that signs. `held`: the bundle before
 * it, whose signature was verified. Throws SealError, and the ProtocolError `trust_invalid`.
 */
export async function verifyTrustDraft(
  crypto: Primitives,
  keyring: Keyring,
  {
    held,
    draft,
    stored,
  }: { held: UnsignedTrustBundle; draft: UnsignedTrustBundle; stored: readonly StoredSigningKey[] },
): Promise<TrustDifference> {
  const difference = compareTrustBundles(held, draft)
  for (const key of difference.added) await requireOurs(crypto, keyring, key, stored)
  for (const { kid } of [...difference.removed, ...difference.ended]) {
    const status = stored.find((row) => row.kid === kid)?.status
    if (status === 'ACTIVE' || status === 'PUBLISHED') {
      throw new SealError(`The draft of the next trust bundle takes away the key ${kid}, which is ${status}.`)
    }
  }
  return difference
}

/** It waits to sign here: its seed is sealed for it, and is of this key. */
async function requireOurs(
  crypto: Primitives,
  keyring: Keyring,
  key: TrustKey,
  stored: readonly StoredSigningKey[],
): Promise<void> {
  const row = stored.find(({ kid, status }) => kid === key.kid && status === 'PUBLISHED')
  if (row?.sealedSeed === undefined) {
    throw new SealError(`The draft of the next trust bundle has a key ${key.kid} that this service did not make.`)
  }
  const { kid, use, alg, notBefore, notAfter, sealedSeed } = row
  const signer = await openSigningKey(crypto, keyring, { kid, alg, sealedSeed })
  const isSame =
    key.use === use &&
    key.alg === alg &&
    key.publicKey === toBase64url(signer.publicKey) &&
    key.notBefore === notBefore &&
    key.notAfter === notAfter
  if (!isSame)
    throw new SealError(`The draft of the next trust bundle says other things of the key ${kid} than it was made with.`)
}

/** The ids of the keys, for events. */
export function kidsOf({ added, ended, removed }: TrustDifference) {
  const kids = (keys: readonly TrustKey[]) => keys.map(({ kid }) => kid)
  return { added: kids(added), ended: kids(ended), removed: kids(removed) }
}

export type SignedDraftHappening = Happening<'trust.bundle_signed' | 'signing_key.published' | 'signing_key.withdrawn'>

/** What happens to keys in the moment in which a draft is signed and stored. */
export function happeningsOfSigned(
  rootKid: string,
  trustSequence: number,
  difference: TrustDifference,
): SignedDraftHappening[] {
  const facts = ({ use, alg }: TrustKey) => ({ use, alg, trustSequence })
  return [
    { type: 'trust.bundle_signed', subject: { kid: rootKid }, data: { trustSequence, ...kidsOf(difference) } },
    ...difference.added.map((key) => ({
      type: 'signing_key.published' as const,
      subject: { kid: key.kid },
      data: facts(key),
    })),
    ...difference.removed.map((key) => ({
      type: 'signing_key.withdrawn' as const,
      subject: { kid: key.kid },
      data: facts(key),
    })),
  ]
}
