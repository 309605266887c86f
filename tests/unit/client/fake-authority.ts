import { toBase64url, uuidFromBytes } from '../../../protocol/encoding.ts'
import { BUCKET_MS, bucketCertificateBytes } from '../../../protocol/exchange/bucket.ts'
import type { BucketCertificate } from '../../../protocol/exchange/messages.ts'
import { keyId } from '../../../protocol/key-id.ts'
import type { DecapsulationKey, Primitives, SigningKey } from '../../../protocol/primitives.ts'
import { signatureContexts } from '../../../protocol/suites.ts'
import { type TrustBundle, type TrustKey, trustBundleBytes } from '../../../protocol/trust.ts'

export interface Signer {
  kid: string
  key: SigningKey
}

export interface FakeAuthority {
  /** Every bundle so far, the first one at index 0. */
  readonly bundles: TrustBundle[]
  readonly pin: string
  /** A new root key and a new bucket key, in a bundle that the root key before signs. */
  rotate(): TrustBundle
  bucket(bucket: number): { certificate: BucketCertificate; key: DecapsulationKey }
  /** Makes the bucket key of this bucket anew, as after a lost record. */
  renewBucket(bucket: number): void
  signCertificate(certificate: Omit<BucketCertificate, 'kid' | 'signature'>, signer: Signer): BucketCertificate
}

/** The server's long-lived keys: a root key, a bucket signing key, and a KEM key per bucket. */
export function createFakeAuthority(crypto: Primitives): FakeAuthority {
  let root = newSigner(crypto)
  let signer = newSigner(crypto)
  const pin = root.kid
  const keys = new Map<number, { certificate: BucketCertificate; key: DecapsulationKey }>()
  const bundles = [signBundle(1, [toTrustKey(root, 'root'), toTrustKey(signer, 'bucket')], root)]

  function renewBucket(bucket: number) {
    const key = crypto.importDecapsulationKey('ML-KEM-1024', crypto.randomBytes(64))
    const notBefore = bucket * BUCKET_MS
    const dates = { bucket, notBefore, notAfter: notBefore + BUCKET_MS }
    const certificate = signCertificate({ suite: 'ML-KEM-1024', ...dates, publicKey: key.encapsulationKey }, signer)
    keys.set(bucket, { certificate, key })
  }

  return {
    bundles,
    pin,
    rotate() {
      const before = root
      root = newSigner(crypto)
      signer = newSigner(crypto)
      keys.clear()
      const named = [toTrustKey(root, 'root'), toTrustKey(signer, 'bucket')]
      const bundle = signBundle(bundles.length + 1, named, before)
      bundles.push(bundle)
      return bundle
    },
    bucket(bucket) {
      if (!keys.has(bucket)) renewBucket(bucket)
      return keys.get(bucket) as { certificate: BucketCertificate; key: DecapsulationKey }
    },
    renewBucket,
    signCertificate,
  }
}

export function signCertificate(
  certificate: Omit<BucketCertificate, 'kid' | 'signature'>,
  signer: Signer,
): BucketCertificate {
  const named = { ...certificate, kid: signer.kid }
  return { ...named, signature: signer.key.sign(bucketCertificateBytes(named), signatureContexts.bucket) }
}

export function newSigner(crypto: Primitives): Signer {
  const key = crypto.importSigningKey('ML-DSA-44', crypto.randomBytes(32))
  return { kid: keyId(crypto, key.alg, key.publicKey), key }
}

export function toTrustKey({ kid, key }: Signer, use: TrustKey['use']): TrustKey {
  const validity = { notBefore: 0, notAfter: 4_102_444_800_000 }
  return { kid, alg: key.alg, publicKey: toBase64url(key.publicKey), use, ...validity }
}

export function signBundle(sequence: number, keys: TrustKey[], root: Signer): TrustBundle {
  const unsigned = { trustDomain: 'test.qflare', sequence, keys }
  const signature = root.key.sign(trustBundleBytes(unsigned), signatureContexts.trust)
  return { ...unsigned, signatures: [{ kid: root.kid, signature }] }
}

export function newUuid(crypto: Primitives): string {
  return uuidFromBytes(crypto.randomBytes(16))
}
