import { z } from 'zod'
import { encode, uuidToBytes } from './encoding.ts'
import { enrollmentAnswer, enrollmentChallenge, enrollmentCompletion } from './enrollment.ts'
import type { SignatureAlgorithm } from './suites.ts'
import { bytes, kid, signature, signatureAlgorithm, timestamp, uuid } from './wire.ts'

/** Wire messages and signed bytes of the rotation of an identity key (docs/protocol.md §8). */

export const rotationStart = z.strictObject({})

export const rotationChallenge = z
  .strictObject({
    challengeId: uuid,
    challenge: bytes(32),
    expiresAt: timestamp,
    policy: enrollmentChallenge.shape.policy,
  })
  .meta({ id: 'RotationChallenge' })
export type RotationChallenge = z.output<typeof rotationChallenge>

export const rotationCompletion = z
  .strictObject({
    /** The new one. */
    identityKey: enrollmentCompletion.shape.identityKey,
    /** Not parsed by format yet, and covered by neither signature. */
    evidence: enrollmentCompletion.shape.evidence,
    oldSignature: signature,
    newSignature: signature,
  })
  .meta({ id: 'RotationCompletion' })
export type RotationCompletion = z.output<typeof rotationCompletion>

export const rotationAnswer = z
  .strictObject({
    deviceId: uuid,
    spiffeId: z.string(),
    status: z.string(),
    identityKey: z.strictObject({ kid, alg: signatureAlgorithm }),
    attestation: enrollmentAnswer.shape.attestation,
  })
  .meta({ id: 'RotatedIdentity' })
export type RotationAnswer = z.output<typeof rotationAnswer>

/** The bytes that the old identity key and the new one sign; `challenge` has 32 bytes, `alg` and `publicKey` are the new key's. */
export function rotationBytes(rotation: {
  deviceId: string
  oldKid: string
  alg: SignatureAlgorithm
  publicKey: Uint8Array
  challenge: Uint8Array
}): Uint8Array {
  return encode(
    'QFLARE-v1 rotate',
    uuidToBytes(rotation.deviceId),
    rotation.oldKid,
    rotation.alg,
    rotation.publicKey,
    rotation.challenge,
  )
}
