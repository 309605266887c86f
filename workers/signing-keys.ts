import type { Tx } from '../database/open.ts'
import { insertTrustBundle } from '../database/repositories/service-keys.ts'
import { insertSigningKey } from '../database/repositories/signing-keys.ts'
import { toBase64url } from '../protocol/encoding.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { SignatureAlgorithm } from '../protocol/suites.ts'
import type { TrustKey, UnsignedTrustBundle } from '../protocol/trust.ts'
import type { Keyring } from '../runtime/custody/keyring.ts'
import { signingKeyPlace } from '../runtime/custody/service-keys.ts'
import { signTrustBundle } from '../runtime/custody/sign-trust-bundle.ts'
import { createLocalSigner, type Signer } from '../runtime/custody/signer.ts'
import { type ProfileName, profiles } from '../runtime/profile.ts'

const YEAR_MS = 365 * 86_400_000
/** The root outlives the keys that it vouches for; each of those ends long before, by its age. */
const validityMs = { root: 10 * YEAR_MS, bucket: 2 * YEAR_MS, audit: 2 * YEAR_MS, attestation: 2 * YEAR_MS } as const

export interface SigningKeyKind {
  use: TrustKey['use']
  alg: SignatureAlgorithm
}

/** What a service of this profile signs with: a key of each. */
export function signingKeyKindsOf(profile: ProfileName): SigningKeyKind[] {
  const { signing, audit } = profiles[profile]
  const others = (['root', 'bucket', 'attestation'] as const).map((use) => ({ use, alg: signing }))
  return [...others, ...audit.map((alg) => ({ use: 'audit' as const, alg }))]
}

/** A new key, stored. `isActive`: it signs at once, which is for the first ones alone. */
export async function makeSigningKey(
  tx: Tx,
  parts: { crypto: Primitives; keyring: Keyring },
  { use, alg }: SigningKeyKind,
  options: { isActive: boolean },
  now: number,
): Promise<{ signer: Signer; trustKey: TrustKey }> {
  const seed = parts.crypto.randomBytes(32)
  const signer = createLocalSigner(parts.crypto, alg, seed)
  const { keyId: kid, publicKey } = signer
  const sealedSeed = parts.keyring.seal('signingKey', signingKeyPlace(kid), seed)
  seed.fill(0)
  const validity = { notBefore: dayOf(now), notAfter: dayOf(now) + validityMs[use] }
  const times = { publishedAt: now, activatedAt: options.isActive ? now : undefined }
  await insertSigningKey(tx, { kid, use, alg, publicKey, sealedSeed, ...validity, ...times })
  return { signer, trustKey: { kid, alg, publicKey: toBase64url(publicKey), use, ...validity } }
}

/** Signs and stores a trust bundle. */
export async function addTrustBundle(tx: Tx, root: Signer, bundle: UnsignedTrustBundle, now: number): Promise<void> {
  await insertTrustBundle(tx, bundle.sequence, await signTrustBundle(root, bundle), now)
}

/** Keys are valid from the start of the day, so that the current bucket, which began earlier, lies within. */
function dayOf(now: number): number {
  return now - (now % 86_400_000)
}
