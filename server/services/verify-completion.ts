import type { EnrollmentChallengeRow } from '../../database/repositories/challenges.ts'
import { type EnrollmentCompletion, enrollmentBytes, evidenceDigest } from '../../protocol/enrollment.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import { trustDigest, type WireTrustBundle } from '../../protocol/trust.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { ServiceError } from '../errors.ts'
import { openChallenge } from './challenges.ts'

/** What a completion of this challenge has to be signed over: the bytes of docs/protocol.md §3. */
export async function signedBytesOf(
  parts: { keyring: Keyring; crypto: Primitives },
  organizationId: string,
  challenge: EnrollmentChallengeRow,
  completion: EnrollmentCompletion,
  trust: WireTrustBundle,
): Promise<Uint8Array> {
  const { alg, publicKey } = completion.identityKey
  const at = { table: 'challenge', organizationId, id: challenge.id } as const
  return enrollmentBytes({
    enrollmentId: challenge.id,
    challenge: await openChallenge(parts.keyring, at, challenge.sealedChallenge),
    alg,
    publicKey,
    name: completion.name,
    kind: completion.kind,
    evidenceDigest: evidenceDigest(parts.crypto, completion.evidence),
    trustDigest: trustDigest(parts.crypto, trust),
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
