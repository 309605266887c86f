import { encode, u64, uuidFromBytes, uuidToBytes } from '../encoding.ts'
import type { Primitives } from '../primitives.ts'
import { BUCKET_MS, bucketCertificateBytes } from './bucket.ts'
import type { BucketCertificate, ExchangeAnswer, ExchangeRequest } from './messages.ts'

/** `th1`, 64 bytes: what the device signs. */
export function initiateHash(
  crypto: Primitives,
  request: Omit<ExchangeRequest, 'signature'>,
  certificate: Omit<BucketCertificate, 'signature'>,
): Uint8Array {
  return crypto.hash512(
    encode(
      'QFLARE-v1 initiate',
      request.suite,
      uuidToBytes(request.deviceId),
      u64(request.bucket),
      crypto.hash512(bucketCertificateBytes(certificate)),
      request.nonce,
      request.clientKey,
      request.ciphertext,
    ),
  )
}

/** `th2`, 64 bytes. */
export function respondHash(
  crypto: Primitives,
  th1: Uint8Array,
  signature: Uint8Array,
  answer: Omit<ExchangeAnswer, 'confirmation'>,
): Uint8Array {
  return crypto.hash512(
    encode(
      'QFLARE-v1 respond',
      th1,
      signature,
      uuidToBytes(answer.sessionId),
      answer.nonce,
      answer.ciphertext,
      u64(answer.expiresAt),
    ),
  )
}

/** A UUIDv8 (RFC 9562 §5.8): 48 bits of the bucket's start in milliseconds, then th1, so that a replay is the same id. */
export function sessionIdOf(bucket: number, th1: Uint8Array): string {
  const bytes = new Uint8Array(16)
  bytes.set(u64(bucket * BUCKET_MS).subarray(2), 0)
  bytes.set(th1.subarray(0, 10), 6)
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x80
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80
  return uuidFromBytes(bytes)
}
