import { encode, u64 } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import type { Primitives } from '../primitives.ts'
import { signatureContexts } from '../suites.ts'
import { importTrustKey, type TrustBundle } from '../trust.ts'
import type { BucketCertificate } from './messages.ts'

/** Milliseconds; docs/protocol.md §2. */
export const BUCKET_MS = 300_000
export const GRACE_MS = 60_000
export const SKEW_MS = 30_000

export function bucketAt(now: number): number {
  return Math.floor(now / BUCKET_MS)
}

/** The bytes that the server's bucket key signs. */
export function bucketCertificateBytes(certificate: Omit<BucketCertificate, 'signature'>): Uint8Array {
  return encode(
    'QFLARE-v1 bucket',
    certificate.suite,
    u64(certificate.bucket),
    u64(certificate.notBefore),
    u64(certificate.notAfter),
    certificate.kid,
    certificate.publicKey,
  )
}

/**
 * Whether a server takes messages of `bucket` at `now`: the current one, the one before until the grace after its end,
 * the next from the skew before its start. The device's window for its own clock is the same.
 */
export function isBucketAccepted(bucket: number, now: number): boolean {
  return now >= bucket * BUCKET_MS - SKEW_MS && now < (bucket + 1) * BUCKET_MS + GRACE_MS
}

/** The 16 epochs that have keys at a time, and one: a session may begin before its bucket does. */
const MAX_SESSION_BUCKETS = 17

/** Whether a session of `bucket` may end then. A device takes no other end: it keeps chain keys, and ratchets, as far as that. */
export function isSessionEnd(expiresAt: number, bucket: number): boolean {
  return expiresAt > bucket * BUCKET_MS && expiresAt <= (bucket + MAX_SESSION_BUCKETS) * BUCKET_MS
}

/**
 * Everything that a device checks of a certificate (docs/protocol.md §2) but its clock and its stored floor.
 * Throws `certificate_invalid`.
 */
export function verifyBucketCertificate(
  crypto: Primitives,
  certificate: BucketCertificate,
  trust: TrustBundle,
): BucketCertificate {
  if (
    certificate.notBefore !== certificate.bucket * BUCKET_MS ||
    certificate.notAfter !== certificate.notBefore + BUCKET_MS
  ) {
    throw new ProtocolError('certificate_invalid', 'The dates of the certificate are not those of its bucket.')
  }
  const key = trust.keys.find((candidate) => candidate.use === 'bucket' && candidate.kid === certificate.kid)
  if (key === undefined) {
    throw new ProtocolError('certificate_invalid', `No bucket key of the trust bundle has the kid ${certificate.kid}.`)
  }
  if (certificate.notBefore < key.notBefore || certificate.notAfter > key.notAfter) {
    throw new ProtocolError(
      'certificate_invalid',
      'The certificate is not within the validity of the key that signed it.',
    )
  }
  const verificationKey = importTrustKey(crypto, key)
  if (!verificationKey.verify(bucketCertificateBytes(certificate), signatureContexts.bucket, certificate.signature)) {
    throw new ProtocolError('certificate_invalid', 'The signature of the bucket certificate is not valid.')
  }
  return certificate
}
