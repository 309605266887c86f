import type { IdentityKeyRow } from '../../database/repositories/identity-keys.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { type RotationCompletion, rotationBytes } from '../../protocol/identity-rotation.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import { isIdentityKeyGenuine } from '../../runtime/custody/identity-key-mac.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { ServiceError } from '../errors.ts'

/** What both keys have to sign under this challenge: the bytes of docs/protocol.md §8. */
export function signedBytesOf(
  rotation: { deviceId: string; oldKid: string; challenge: Uint8Array },
  { identityKey }: RotationCompletion,
): Uint8Array {
  return rotationBytes({ ...rotation, ...identityKey })
}

/** Only the key that the device has now proves anything, and only while its MAC says that nobody swapped it in the database. */
export async function isSignedByOldKey(
  parts: { keyring: Keyring; crypto: Primitives },
  oldKey: IdentityKeyRow & { isActive: boolean },
  signedBytes: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  if (!oldKey.isActive || !(await isIdentityKeyGenuine(parts.keyring, oldKey))) return false
  const key = parts.crypto.importVerificationKey(oldKey.alg, oldKey.publicKey)
  return key.verify(signedBytes, signatureContexts.rotate, signature)
}

/** Throws `key_invalid` for a key under which anybody's signature might be good. */
export function isSignedByNewKey(crypto: Primitives, completion: RotationCompletion, signedBytes: Uint8Array): boolean {
  const { alg, publicKey } = completion.identityKey
  try {
    const key = crypto.importVerificationKey(alg, publicKey)
    return key.verify(signedBytes, signatureContexts.rotate, completion.newSignature)
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new ServiceError('key_invalid', error.message, { field: 'identityKey.publicKey', cause: error })
  }
}
