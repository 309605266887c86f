import type { Activation } from '../../protocol/attestation/evidence-format.ts'
import { canonicalJson, encode, fromBase64url, type Json, toBase64url, uuidToBytes } from '../../protocol/encoding.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import type { SealedPlace } from '../../runtime/custody/sealed-record.ts'

/** How long a challenge may be answered. */
export const CHALLENGE_MS = 300_000

/**
 * Where a challenge is kept: `challenge` those of enrolments, by the token's id; the others by their own. One of an attestation is
 * sealed for its device and session too, so that it answers for no other.
 */
export type ChallengePlace =
  | { table: 'challenge' | 'rotation_challenge'; organizationId: string; id: string }
  | { table: 'attestation_challenge'; organizationId: string; id: string; principalId: string; sessionId: string }

/**
 * Challenges are sealed at rest: who answers an enrolment's challenge enrols, so that a reader of the database must not
 * find one.
 */
export function sealChallenge(keyring: Keyring, at: ChallengePlace, challenge: Uint8Array): Uint8Array {
  return keyring.seal('challenge', placeOf(at), challenge)
}

export function openChallenge(keyring: Keyring, at: ChallengePlace, sealedChallenge: Uint8Array): Promise<Uint8Array> {
  return keyring.open('challenge', placeOf(at), sealedChallenge)
}

function placeOf(at: ChallengePlace): SealedPlace {
  const { table, organizationId } = at
  const holder = at.table === 'attestation_challenge' ? [uuidToBytes(at.principalId), uuidToBytes(at.sessionId)] : []
  const primaryKey = encode('challenge', uuidToBytes(at.id), ...holder)
  return { organizationId, table, column: 'sealed_challenge', primaryKey }
}

/** The challenge of an enrolment that an activation is kept with, and belongs to. */
export interface ActivationPlace {
  organizationId: string
  enrollmentId: string
  sealedChallenge: Uint8Array
}

/** Who reads the secret needs no TPM to answer it. */
export function sealActivation(
  keyring: Keyring,
  at: ActivationPlace,
  { attesterId, state, secret }: Activation,
): Uint8Array {
  const text = canonicalJson({ attesterId, state, secret: toBase64url(secret) })
  return keyring.seal('challenge', activationPlace(at), new TextEncoder().encode(text))
}

export async function openActivation(keyring: Keyring, at: ActivationPlace, sealed: Uint8Array): Promise<Activation> {
  const text = new TextDecoder().decode(await keyring.open('challenge', activationPlace(at), sealed))
  const { attesterId, state, secret } = JSON.parse(text) as { attesterId: string; state: Json; secret: string }
  return { attesterId, state, secret: fromBase64url(secret) }
}

function activationPlace({ organizationId, enrollmentId, sealedChallenge }: ActivationPlace): SealedPlace {
  const primaryKey = encode('challenge', uuidToBytes(enrollmentId), sealedChallenge)
  return { organizationId, table: 'challenge', column: 'sealed_activation', primaryKey }
}
