import { encode, u64, uuidToBytes } from '../../protocol/encoding.ts'
import { type Keyring, UnknownKeyError } from './keyring.ts'

export interface PolicyFacts {
  organizationId: string
  name: string
  version: number
  /** Canonical JSON. */
  body: string
}

/** What stands beside a version of an appraisal policy, so that a writer of the database cannot change what devices have to prove. */
export function macPolicy(keyring: Keyring, policy: PolicyFacts): { mac: Uint8Array; version: number } {
  return keyring.mac('identityMac', message(policy))
}

/** A MAC under a version that is not there is none: a version is destroyed only when no genuine MAC is under it. */
export async function isPolicyGenuine(
  keyring: Keyring,
  policy: PolicyFacts & { mac: Uint8Array; macKeyVersion: number },
): Promise<boolean> {
  try {
    return await keyring.isMac('identityMac', policy.macKeyVersion, message(policy), policy.mac)
  } catch (error) {
    if (error instanceof UnknownKeyError) return false
    throw error
  }
}

/** Another label than that of an identity key: the MAC of one thing is none of another. */
function message({ organizationId, name, version, body }: PolicyFacts): Uint8Array {
  return encode('QFLARE-v1 appraisal policy', uuidToBytes(organizationId), name, u64(version), body)
}
