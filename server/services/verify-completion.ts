import { type EnrollmentCompletion, enrollmentBytes, evidenceDigest } from '../../protocol/enrollment.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import { trustDigest, type WireTrustBundle } from '../../protocol/trust.ts'
import { ServiceError } from '../errors.ts'

/** What a completion of this challenge has to be signed over: the bytes of docs/protocol.md §3. */
export function signedBytesOf(
  crypto: Primitives,
  enrollment: { id: string; challenge: Uint8Array },
  completion: EnrollmentCompletion,
  trust: WireTrustBundle,
): Uint8Array {
  const { alg, publicKey } = completion.identityKey
  return enrollmentBytes({
    enrollmentId: enrollment.id,
    challenge: enrollment.challenge,
    alg,
    publicKey,
    name: completion.name,
    kind: completion.kind,
    evidenceDigest: evidenceDigest(crypto, completion.evidence),
    trustDigest: trustDigest(crypto, trust),
  })
}

/** By the key that it names. Throws `key_invalid` for a key under which anybody's signature might be good. */
export function isCompletionSigned(
  crypto: Primitives,
  completion: EnrollmentCompletion,
  signedBytes: Uint8Array,
): boolean {
  const { alg, publicKey } = completion.identityKey
  try {
    const key = crypto.importVerificationKey(alg, publicKey)
    return key.verify(signedBytes, signatureContexts.enroll, completion.signature)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new ServiceError('key_invalid', error.message, { field: 'identityKey.publicKey', cause: error })
  }
}
