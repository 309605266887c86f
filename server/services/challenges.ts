import { encode, uuidToBytes } from '../../protocol/encoding.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import type { SealedPlace } from '../../runtime/custody/sealed-record.ts'

/**
 * Challenges are sealed at rest: who answers an enrolment's challenge enrols, so that a reader of the database must not
 * find one.
 */
export function sealChallenge(
  keyring: Keyring,
  at: { organizationId: string; id: string },
  challenge: Uint8Array,
): Uint8Array {
  return keyring.seal('challenge', placeOf(at), challenge)
}

export function openChallenge(
  keyring: Keyring,
  at: { organizationId: string; id: string },
  sealedChallenge: Uint8Array,
): Promise<Uint8Array> {
  return keyring.open('challenge', placeOf(at), sealedChallenge)
}

function placeOf({ organizationId, id }: { organizationId: string; id: string }): SealedPlace {
  return {
    organizationId,
    table: 'challenge',
    column: 'sealed_challenge',
    primaryKey: encode('challenge', uuidToBytes(id)),
  }
}
