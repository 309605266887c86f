import { encode, uuidToBytes } from '../../protocol/encoding.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import type { SealedPlace } from '../../runtime/custody/sealed-record.ts'

/** How long a challenge may be answered. */
export const CHALLENGE_MS = 300_000

/** Where a challenge is kept: `challenge` those of enrolments, by the token's id; `rotation_challenge` by their own. */
export interface ChallengePlace {
  table: 'challenge' | 'rotation_challenge'
  organizationId: string
  id: string
}

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

function placeOf({ table, organizationId, id }: ChallengePlace): SealedPlace {
  return { organizationId, table, column: 'sealed_challenge', primaryKey: encode('challenge', uuidToBytes(id)) }
}
