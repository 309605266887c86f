import type { Tx } from '../../database/open.ts'
import type { AttestationChallengeRow } from '../../database/repositories/attestation-challenges.ts'
import { getIdentityKey, type IdentityKeyRow } from '../../database/repositories/identity-keys.ts'
import { type AttestationSubmission, reattestationBytes } from '../../protocol/attestation/messages.ts'
import { evidenceDigest } from '../../protocol/enrollment.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import { isIdentityKeyGenuine } from '../../runtime/custody/identity-key-mac.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import type { Device } from './devices.ts'

/** What a submission for this challenge has to be signed over: the bytes of docs/protocol.md §8. */
export function signedBytesOf(
  crypto: Primitives,
  {
    device,
    challenge,
    opened,
  }: {
    device: { id: string; identityKey: Pick<IdentityKeyRow, 'kid'> }
    challenge: AttestationChallengeRow
    opened: Uint8Array
  },
  { evidence }: AttestationSubmission,
): Uint8Array {
  return reattestationBytes({
    deviceId: device.id,
    kid: device.identityKey.kid,
    sessionId: challenge.sessionId,
    challenge: opened,
    evidenceDigest: evidenceDigest(crypto, evidence),
  })
}

/** By the key that the device has now, and only while its MAC says that nobody swapped it in the database. */
export async function isSubmissionSigned(
  parts: { keyring: Keyring; crypto: Primitives },
  tx: Tx,
  { identityKey }: Device,
  signedBytes: Uint8Array,
  submission: AttestationSubmission,
): Promise<boolean> {
  return isSignedBy(parts, await getIdentityKey(tx, identityKey.kid), signedBytes, submission)
}

/** The same for a key that was read. */
export async function isSignedBy(
  parts: { keyring: Keyring; crypto: Primitives },
  key: IdentityKeyRow & { isActive: boolean },
  signedBytes: Uint8Array,
  { signature }: AttestationSubmission,
): Promise<boolean> {
  if (!key.isActive || !(await isIdentityKeyGenuine(parts.keyring, key))) return false
  return parts.crypto
    .importVerificationKey(key.alg, key.publicKey)
    .verify(signedBytes, signatureContexts.reattest, signature)
}
