import { describe, expect, it } from 'vitest'
import { toBase64url } from '../../../protocol/encoding.ts'
import {
  BUCKET_MS,
  bucketAt,
  GRACE_MS,
  isBucketAccepted,
  SKEW_MS,
  verifyBucketCertificate,
} from '../../../protocol/exchange/bucket.ts'
import type { BucketCertificate } from '../../../protocol/exchange/messages.ts'
import { keyId } from '../../../protocol/key-id.ts'
import type { Suite } from '../../../protocol/suites.ts'
import type { TrustKey } from '../../../protocol/trust.ts'
import {
  BUCKET,
  bucketStart,
  makeBundle,
  makeServer,
  makeTrustKey,
  seedOf,
  signCertificate,
} from '../../support/protocol-exchange.ts'
import { native as crypto, flipBit, refusalOf } from '../../support/protocol-providers.ts'

const end = bucketStart + BUCKET_MS

describe('the window of a bucket', () => {
  it('has the lengths of docs/protocol.md §2', () => {
    expect([BUCKET_MS, GRACE_MS, SKEW_MS]).toEqual([300_000, 60_000, 30_000])
  })

  it.each([
    ['1 ms before the skew', bucketStart - SKEW_MS - 1, false],
    ['with the skew', bucketStart - SKEW_MS, true],
    ['1 ms after the skew began', bucketStart - SKEW_MS + 1, true],
    ['1 ms before its start', bucketStart - 1, true],
    ['at its start', bucketStart, true],
    ['1 ms after its start', bucketStart + 1, true],
    ['1 ms before its end', end - 1, true],
    ['at its end', end, true],
    ['1 ms after its end', end + 1, true],
    ['1 ms before the grace is over', end + GRACE_MS - 1, true],
    ['when the grace is over', end + GRACE_MS, false],
    ['1 ms later', end + GRACE_MS + 1, false],
  ])('%s', (_, now, isAccepted) => {
    expect(isBucketAccepted(BUCKET, now)).toBe(isAccepted)
  })

  it.each([
    ['at the start of a bucket, in the grace of the last', 0, [-1, 0]],
    ['at the last instant of the grace', GRACE_MS - 1, [-1, 0]],
    ['when the grace is over', GRACE_MS, [0]],
    ['in the middle', BUCKET_MS / 2, [0]],
    ['1 ms before the skew of the next', BUCKET_MS - SKEW_MS - 1, [0]],
    ['with the skew of the next', BUCKET_MS - SKEW_MS, [0, 1]],
    ['at its last instant', BUCKET_MS - 1, [0, 1]],
  ])('%s no bucket is taken but those near', (_, offset, near) => {
    const accepted = [-2, -1, 0, 1, 2].filter((distance) => isBucketAccepted(BUCKET + distance, bucketStart + offset))
    expect(accepted).toEqual(near)
  })

  it('always takes the bucket that the time is in', () => {
    for (const now of [0, 1, BUCKET_MS - 1, BUCKET_MS, bucketStart - 1, bucketStart, end - 1, end]) {
      expect(isBucketAccepted(bucketAt(now), now)).toBe(true)
    }
    expect([0, BUCKET_MS - 1, BUCKET_MS, bucketStart - 1, bucketStart].map(bucketAt)).toEqual([
      0,
      0,
      1,
      BUCKET - 1,
      BUCKET,
    ])
  })

  it('never takes a bucket so far away that its dates are no longer exact', () => {
    for (const bucket of [Number.MAX_SAFE_INTEGER, 2 ** 40]) expect(isBucketAccepted(bucket, bucketStart)).toBe(false)
  })
})

describe('a bucket certificate', () => {
  const server = makeServer(crypto)
  const root = crypto.importSigningKey('ML-DSA-44', seedOf(crypto, 'root', 32))
  const rootKey = makeTrustKey(crypto, root, 'root')
  const serverKey = makeTrustKey(crypto, server.signingKey, 'bucket')
  const trustOf = (...keys: TrustKey[]) =>
    makeBundle(crypto, { sequence: 1, keys: [rootKey, ...keys], signers: [root] })
  const trust = trustOf(serverKey)
  const verify = (certificate: BucketCertificate, bundle = trust) =>
    verifyBucketCertificate(crypto, certificate, bundle)
  const signed = (changed: Partial<BucketCertificate>, by = server.signingKey) => {
    const { signature: _, ...unsigned } = server.certificate
    return signCertificate(by, { ...unsigned, ...changed })
  }
  const wrongDates = 'The dates of the certificate are not those of its bucket.'
  const wrongSignature = 'The signature of the bucket certificate is not valid.'
  const outOfValidity = 'The certificate is not within the validity of the key that signed it.'
  const unknownKey = (kid: string) => `No bucket key of the trust bundle has the kid ${kid}.`

  it('is accepted when everything fits', () => {
    expect(verify(server.certificate)).toBe(server.certificate)
  })

  it.each([
    ['notBefore', { notBefore: bucketStart - 1 }],
    ['notBefore', { notBefore: bucketStart + 1 }],
    ['notAfter', { notAfter: end + 1 }],
    ['notAfter', { notAfter: end - 1 }],
    ['bucket', { bucket: BUCKET + 1 }],
    ['bucket', { bucket: BUCKET - 1 }],
    ['bucket, one that has no exact dates,', { bucket: Number.MAX_SAFE_INTEGER }],
    ['notBefore and notAfter, both moved,', { notBefore: bucketStart + BUCKET_MS, notAfter: end + BUCKET_MS }],
    ['longer life', { notAfter: end + BUCKET_MS }],
  ])('of another %s is refused, though it is signed: %j', (_, changed) => {
    expect(refusalOf(() => verify(signed(changed)))).toEqual({ code: 'certificate_invalid', message: wrongDates })
  })

  it('by a key that the bundle does not hold is refused', () => {
    const stranger = crypto.importSigningKey('ML-DSA-44', seedOf(crypto, 'stranger', 32))
    const kid = keyId(crypto, stranger.alg, stranger.publicKey)
    expect(refusalOf(() => verify(signed({ kid }, stranger)))).toEqual({
      code: 'certificate_invalid',
      message: unknownKey(kid),
    })
  })

  it.each(['root', 'audit', 'attestation'] as const)('by a key of the bundle for use %s is refused', (use) => {
    const bundle = trustOf(makeTrustKey(crypto, server.signingKey, use))
    expect(refusalOf(() => verify(server.certificate, bundle))).toEqual({
      code: 'certificate_invalid',
      message: unknownKey(serverKey.kid),
    })
  })

  it('under the kid of a bucket key but by another key is refused', () => {
    const stranger = crypto.importSigningKey('ML-DSA-44', seedOf(crypto, 'stranger', 32))
    expect(refusalOf(() => verify(signed({}, stranger)))).toEqual({
      code: 'certificate_invalid',
      message: wrongSignature,
    })
  })

  it('is refused when the key behind its kid is another', () => {
    const stranger = crypto.importSigningKey('ML-DSA-44', seedOf(crypto, 'stranger', 32))
    const forged = { ...serverKey, publicKey: toBase64url(stranger.publicKey) }
    expect(refusalOf(() => verify(signed({}, stranger), trustOf(forged))).code).toBe('trust_invalid')
  })

  it.each([
    ['begins 1 ms too late', { notBefore: bucketStart + 1 }],
    ['ends 1 ms too early', { notAfter: end - 1 }],
  ])('is refused when the validity of its key %s', (_, changed) => {
    const refusal = refusalOf(() => verify(server.certificate, trustOf({ ...serverKey, ...changed })))
    expect(refusal).toEqual({ code: 'certificate_invalid', message: outOfValidity })
  })

  it('is accepted when its key is valid for exactly its bucket', () => {
    const exact = { ...serverKey, notBefore: bucketStart, notAfter: end }
    expect(verify(server.certificate, trustOf(exact))).toBe(server.certificate)
  })

  it.each<[string, Partial<BucketCertificate>]>([
    ['suite', { suite: 'ML-KEM-768' as Suite }],
    ['bucket key', { publicKey: flipBit(server.certificate.publicKey, 12_543) }],
    ['signature', { signature: flipBit(server.certificate.signature, 0) }],
    ['signature, cut,', { signature: server.certificate.signature.subarray(1) }],
    ['bucket, with fitting dates,', { bucket: BUCKET + 1, notBefore: end, notAfter: end + BUCKET_MS }],
  ])('with another %s after it was signed is refused', (_, changed) => {
    expect(refusalOf(() => verify({ ...server.certificate, ...changed }))).toEqual({
      code: 'certificate_invalid',
      message: wrongSignature,
    })
  })

  it('signed for another purpose is refused', () => {
    const { signature: _, ...unsigned } = server.certificate
    for (const context of ['QFLARE-v1 trust', 'QFLARE-v1 exchange', 'QFLARE-v1 enroll', ''] as const) {
      const key = { ...server.signingKey, sign: (message: Uint8Array) => server.signingKey.sign(message, context) }
      expect(refusalOf(() => verify(signCertificate(key, unsigned)))).toEqual({
        code: 'certificate_invalid',
        message: wrongSignature,
      })
    }
  })
})
