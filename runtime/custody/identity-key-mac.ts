import { encode, uuidToBytes } from '../../protocol/encoding.ts'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import { type Keyring, UnknownKeyError } from './keyring.ts'

export interface IdentityKeyFacts {
  organizationId: string
  principalId: string
  kid: string
  alg: SignatureAlgorithm
  publicKey: Uint8Array
}

/** What stands beside an identity key, so that a writer of the database cannot swap it (design: storage.md). */
export function macIdentityKey(keyring: Keyring, key: IdentityKeyFacts): { mac: Uint8Array; version: number } {
  return keyring.mac('identityMac', message(key))
}

/** A MAC under a version that is not there is none: a version is destroyed only when no genuine MAC is under it. */
export async function isIdentityKeyGenuine(
  keyring: Keyring,
  key: IdentityKeyFacts & { mac: Uint8Array; macKeyVersion: number },
): Promise<boolean> {
  try {
    return await keyring.isMac('identityMac', key.macKeyVersion, message(key), key.mac)
  } catch (error) {
    if (error instanceof UnknownKeyError) return false
    throw error
  }
}

function message(key: IdentityKeyFacts): Uint8Array {
  const { organizationId, principalId, kid, alg, publicKey } = key
  return encode('QFLARE-v1 identity key', uuidToBytes(organizationId), uuidToBytes(principalId), kid, alg, publicKey)
}
