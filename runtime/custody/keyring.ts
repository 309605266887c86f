import { encode, u64 } from '../../protocol/encoding.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { KekUses } from './kek-uses.ts'
import {
  keyVersionOf,
  openRecord,
  SealError,
  type SealedPlace,
  type SealPurpose,
  sealPurposes,
  sealRecord,
} from './sealed-record.ts'
import type { Wrapper } from './wrapper.ts'

/** Purposes that have key-encryption keys of their own. */
export const keyringPurposes = ['signingKey', 'identityMac', 'challenge', 'temporalKey'] as const
export type KeyringPurpose = (typeof keyringPurposes)[number]
/** Those that seal the more often, the larger the fleet; each use of their keys is counted. */
export const countedPurposes = ['challenge'] as const satisfies KeyringPurpose[]
export type CountedPurpose = (typeof countedPurposes)[number]

export interface WrappedKek {
  purpose: KeyringPurpose
  version: number
  sealed: Uint8Array
  active: boolean
}

/** The key-encryption keys of the service, unwrapped. What names a version may have to wait until that is known here. */
export interface Keyring {
  /** Throws KekUsesError while no use of the key is reserved, and SealError for a counted purpose where nobody counts. */
  seal(purpose: KeyringPurpose, place: SealedPlace, plaintext: Uint8Array): Uint8Array
  /** Rejects with SealError. */
  open(purpose: KeyringPurpose, place: SealedPlace, record: Uint8Array): Promise<Uint8Array>
  /** Of the key that seals what is sealed now. */
  activeVersion(purpose: KeyringPurpose): number
  /** HMAC-SHA3-256 under the active key, and its version. */
  mac(purpose: 'identityMac', message: Uint8Array): { mac: Uint8Array; version: number }
  isMac(purpose: 'identityMac', version: number, message: Uint8Array, mac: Uint8Array): Promise<boolean>
}

/** A record or a MAC names a version that is not in this keyring: it is newer than the keyring, or destroyed. */
export class UnknownKeyError extends SealError {}

/** A new key-encryption key, wrapped for the table `kek_version`. */
export async function wrapNewKek(crypto: Primitives, wrapper: Wrapper, purpose: KeyringPurpose, version: number) {
  const key = crypto.randomBytes(32)
  const sealed = await wrapper.wrap(key, kekPlace(purpose, version))
  key.fill(0)
  return { purpose, version, sealed, active: true } satisfies WrappedKek
}

/**
 * Throws SealError when the root key does not open a key-encryption key: it is another one, or the row was changed. Without `uses` it
 * seals nothing of a counted purpose.
 */
export async function openKeyring(
  crypto: Primitives,
  wrapper: Wrapper,
  wrapped: readonly WrappedKek[],
  uses?: Pick<KekUses, 'take'>,
): Promise<Keyring> {
  const keys = new Map<string, Uint8Array>()
  const active = new Map<SealPurpose, number>()
  for (const kek of wrapped) {
    keys.set(`${kek.purpose} ${kek.version}`, await wrapper.unwrap(kek.sealed, kekPlace(kek.purpose, kek.version)))
    if (kek.active) active.set(kek.purpose, kek.version)
  }

  function keyOf(purpose: KeyringPurpose, version: number): Uint8Array {
    const key = keys.get(`${purpose} ${version}`)
    if (key === undefined) {
      throw new UnknownKeyError(`There is no key-encryption key ${version} of purpose ${purpose}.`)
    }
    return key
  }
  function activeVersion(purpose: KeyringPurpose): number {
    const version = active.get(purpose)
    if (version === undefined) throw new SealError(`There is no active key-encryption key of purpose ${purpose}.`)
    return version
  }

  return {
    activeVersion,
    seal(purpose, place, plaintext) {
      const keyVersion = activeVersion(purpose)
      if (isCounted(purpose)) {
        if (uses === undefined) throw new SealError(`Nobody counts here what is sealed of purpose ${purpose}.`)
        uses.take(purpose, keyVersion)
      }
      return sealRecord(crypto, keyOf(purpose, keyVersion), { purpose, keyVersion }, place, plaintext)
    },
    open: async (purpose, place, record) =>
      openRecord(crypto, keyOf(purpose, keyVersionOf(record, purpose)), purpose, place, record),
    mac(purpose, message) {
      const version = activeVersion(purpose)
      return { mac: crypto.hmac256(keyOf(purpose, version), message), version }
    },
    isMac: async (purpose, version, message, mac) =>
      crypto.equal(crypto.hmac256(keyOf(purpose, version), message), mac),
  }
}

export function isCounted(purpose: KeyringPurpose): purpose is CountedPurpose {
  return countedPurposes.some((counted) => counted === purpose)
}

function kekPlace(purpose: KeyringPurpose, version: number): SealedPlace {
  const primaryKey = encode('kek', u64(sealPurposes[purpose]), u64(version))
  return { organizationId: NIL_UUID, table: 'kek_version', column: 'sealed', primaryKey }
}
