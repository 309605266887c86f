import { encode, uuidToBytes } from '../../protocol/encoding.ts'
import { type Keyring, UnknownKeyError } from './keyring.ts'

export interface AttesterFacts {
  organizationId: string
  principalId: string
  format: string
  attesterId: string
  /** Canonical JSON. */
  state: string
}

/** What stands beside the state of an attester, so that a writer of the database cannot give it to another device. */
export function macAttester(keyring: Keyring, attester: AttesterFacts): { mac: Uint8Array; version: number } {
  return keyring.mac('identityMac', message(attester))
}

/** A MAC under a version that is not there is none: a version is destroyed only when no genuine MAC is under it. */
export async function isAttesterGenuine(
  keyring: Keyring,
  attester: AttesterFacts & { mac: Uint8Array; macKeyVersion: number },
): Promise<boolean> {
  try {
    return await keyring.isMac('identityMac', attester.macKeyVersion, message(attester), attester.mac)
  } catch (error) {
    if (error instanceof UnknownKeyError) return false
    throw error
  }
}

/** Another label than that of an identity key: the MAC of one thing is none of another. */
function message({ organizationId, principalId, format, attesterId, state }: AttesterFacts): Uint8Array {
  const ids = [uuidToBytes(organizationId), uuidToBytes(principalId)]
  return encode('QFLARE-v1 attester state', ...ids, format, attesterId, state)
}
