import { z } from 'zod'
import { encode, uuidToBytes } from '../encoding.ts'
import { enrollmentAnswer, enrollmentChallenge, enrollmentCompletion } from '../enrollment.ts'
import { bytes, bytesWithin, json, signature, timestamp, uuid } from '../wire.ts'

/** Wire messages and signed bytes of attestation, beside those of an enrolment (docs/protocol.md §3, §8). */

/** What a credential is made for; its members are the format's (docs/attestation-formats.md), not parsed yet. */
export const credentialRequest = z.record(z.string(), json)

export const credentialAnswer = z
  .strictObject({ credentialBlob: bytesWithin(1, 512), encryptedSecret: bytesWithin(1, 1024) })
  .meta({ id: 'ActivationCredential' })
export type CredentialAnswer = z.output<typeof credentialAnswer>

export const attestationStart = z.strictObject({})

export const attestationChallenge = z
  .strictObject({
    attestationId: uuid,
    challenge: bytes(32),
    expiresAt: timestamp,
    /** The session that the evidence has to be bound to: the one that asked. */
    sessionId: uuid,
    evidence: enrollmentChallenge.shape.policy.shape.evidence,
  })
  .meta({ id: 'AttestationChallenge' })
export type AttestationChallenge = z.output<typeof attestationChallenge>

export const attestationSubmission = z
  .strictObject({ evidence: enrollmentCompletion.shape.evidence, signature })
  .meta({ id: 'AttestationSubmission' })
export type AttestationSubmission = z.output<typeof attestationSubmission>

export const attestationAnswer = z
  .strictObject({
    deviceId: uuid,
    status: z.string(),
    attestation: enrollmentAnswer.shape.attestation,
    /** When the device has to have attested again, undefined where its policy does not ask for it. */
    nextAttestationAt: timestamp.optional(),
  })
  .meta({ id: 'AttestedDevice' })
export type AttestationAnswer = z.output<typeof attestationAnswer>

/** The bytes that the identity key signs; `challenge` has 32 bytes, `evidenceDigest` 64. */
export function reattestationBytes(attestation: {
  deviceId: string
  kid: string
  sessionId: string
  challenge: Uint8Array
  evidenceDigest: Uint8Array
}): Uint8Array {
  return encode(
    'QFLARE-v1 reattest',
    uuidToBytes(attestation.deviceId),
    attestation.kid,
    uuidToBytes(attestation.sessionId),
    attestation.challenge,
    attestation.evidenceDigest,
  )
}
