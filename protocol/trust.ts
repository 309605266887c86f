import { z } from 'zod'
import { canonicalJson, encode, fromBase64url, u64 } from './encoding.ts'
import { ProtocolError } from './errors.ts'
import { keyId } from './key-id.ts'
import type { Primitives, VerificationKey } from './primitives.ts'
import { signatureContexts } from './suites.ts'
import { kid, signature, signatureAlgorithm, timestamp } from './wire.ts'

/** Keys stay in their wire form: `jcs(keys)` is what is signed. */
export const trustKey = z
  .strictObject({
    kid,
    alg: signatureAlgorithm,
    publicKey: z.string().max(4096),
    use: z.enum(['root', 'bucket', 'audit', 'attestation']),
    notBefore: timestamp,
    notAfter: timestamp,
  })
  .meta({ id: 'TrustKey' })
export type TrustKey = z.output<typeof trustKey>

export const trustBundle = z
  .strictObject({
    trustDomain: z.string().min(1).max(255),
    sequence: z.int().min(1),
    keys: z.array(trustKey).min(1).max(64),
    signatures: z.array(z.strictObject({ kid, signature })).min(1).max(8),
  })
  .meta({ id: 'TrustBundle' })
export type TrustBundle = z.output<typeof trustBundle>
/** The same with its signatures as base64url text. */
export type WireTrustBundle = z.input<typeof trustBundle>
export type UnsignedTrustBundle = Omit<TrustBundle, 'signatures'>

/** The bytes that the root key signs. */
export function trustBundleBytes(bundle: UnsignedTrustBundle): Uint8Array {
  return encode('QFLARE-v1 trust', bundle.trustDomain, u64(bundle.sequence), canonicalJson(bundle.keys))
}

/** 64 bytes: what an enrolling device signs of the bundle that it was given (docs/protocol.md §3). */
export function trustDigest(crypto: Primitives, bundle: UnsignedTrustBundle): Uint8Array {
  return crypto.hash512(trustBundleBytes(bundle))
}

/** The first bundle of a device, against the root `kid` that came with its enrolment token. Throws `trust_invalid`. */
export function verifyPinnedTrustBundle(crypto: Primitives, bundle: TrustBundle, pin: string): TrustBundle {
  const root = bundle.keys.find((key) => key.use === 'root' && key.kid === pin)
  if (root === undefined) {
    throw new ProtocolError('trust_invalid', `The trust bundle has no root key ${pin}: this is not the pinned server.`)
  }
  return verifySignedBy(crypto, bundle, [root])
}

/** A later bundle: the next higher sequence, signed by a root key of the one before. Throws `trust_invalid`. */
export function verifyNextTrustBundle(crypto: Primitives, held: TrustBundle, next: TrustBundle): TrustBundle {
  if (next.sequence !== held.sequence + 1 || next.trustDomain !== held.trustDomain) {
    throw new ProtocolError('trust_invalid', `Bundle ${next.sequence} does not follow bundle ${held.sequence}.`)
  }
  return verifySignedBy(
    crypto,
    next,
    held.keys.filter((key) => key.use === 'root'),
  )
}

/** Throws `trust_invalid` when the key is not what its kid says. */
export function importTrustKey(crypto: Primitives, key: TrustKey): VerificationKey {
  try {
    const publicKey = fromBase64url(key.publicKey)
    if (keyId(crypto, key.alg, publicKey) === key.kid) return crypto.importVerificationKey(key.alg, publicKey)
  } catch (cause) {
    throw new ProtocolError('trust_invalid', `The key under ${key.kid} is no key of ${key.alg}.`, { cause })
  }
  throw new ProtocolError('trust_invalid', `The key under ${key.kid} has another kid.`)
}

function verifySignedBy(crypto: Primitives, bundle: TrustBundle, roots: readonly TrustKey[]): TrustBundle {
  const message = trustBundleBytes(bundle)
  const signed = bundle.signatures.some((entry) => {
    const root = roots.find((key) => key.kid === entry.kid)
    return root !== undefined && importTrustKey(crypto, root).verify(message, signatureContexts.trust, entry.signature)
  })
  if (!signed) throw new ProtocolError('trust_invalid', 'The trust bundle has no valid signature of a pinned root key.')
  for (const key of bundle.keys) importTrustKey(crypto, key)
  return bundle
}
