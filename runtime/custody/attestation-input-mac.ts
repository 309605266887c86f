import { encode, uuidToBytes } from '../../protocol/encoding.ts'
import { type Keyring, UnknownKeyError } from './keyring.ts'

/** What of a row must not be changed by a writer of the database. That it was removed is not among it. */
export type InputFacts =
  | {
      input: 'trust_anchor'
      organizationId: string
      id: string
      format: string
      kind: string
      lookupId: string
      der: Uint8Array
    }
  | { input: 'reference_value'; organizationId: string; id: string; format: string; name: string; body: string }

/** What stands beside a trust anchor or a reference value, so that nobody who writes to the database says what is trusted. */
export function macInput(keyring: Keyring, facts: InputFacts): { mac: Uint8Array; version: number } {
  return keyring.mac('identityMac', message(facts))
}

/** A MAC under a version that is not there is none: a version is destroyed only when no genuine MAC is under it. */
export async function isInputGenuine(
  keyring: Keyring,
  input: InputFacts & { mac: Uint8Array; macKeyVersion: number },
): Promise<boolean> {
  try {
    return await keyring.isMac('identityMac', input.macKeyVersion, message(input), input.mac)
  } catch (error) {
    if (error instanceof UnknownKeyError) return false
    throw error
  }
}

/** Labels of their own: the MAC of one thing is none of another. */
function message(facts: InputFacts): Uint8Array {
  const { organizationId, id, format } = facts
  const row = [uuidToBytes(organizationId), uuidToBytes(id), format] as const
  return facts.input === 'trust_anchor'
    ? encode('QFLARE-v1 trust anchor', ...row, facts.kind, facts.lookupId, facts.der)
    : encode('QFLARE-v1 reference value', ...row, facts.name, facts.body)
}
