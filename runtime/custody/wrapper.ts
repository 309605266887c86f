import type { Primitives } from '../../protocol/primitives.ts'
import { keyVersionOf, openRecord, SealError, type SealedPlace, sealRecord } from './sealed-record.ts'

/**
 * Custody of the root key. It wraps key-encryption keys and nothing else; a KMS or an HSM implements the same three calls.
 * Calls may fail for a while: the caller retries or is not ready.
 */
export interface Wrapper {
  /** Names the root key that wraps now; a record says which one wrapped it. */
  readonly version: number
  wrap(plaintext: Uint8Array, place: SealedPlace): Promise<Uint8Array>
  /** Throws SealError when the record is not what was wrapped at this place. */
  unwrap(record: Uint8Array, place: SealedPlace): Promise<Uint8Array>
  /** Resolves while the custody answers. */
  checkHealth(): Promise<void>
}

export const ROOT_KEY_BYTES = 32

/** A root key in memory, from a file or the environment. */
export function createRootKeyWrapper(crypto: Primitives, rootKey: Uint8Array): Wrapper {
  if (rootKey.length !== ROOT_KEY_BYTES) {
    throw new RangeError(`A root key has ${ROOT_KEY_BYTES} bytes, not ${rootKey.length}.`)
  }
  const version = 1
  return {
    version,
    wrap: async (plaintext, place) =>
      sealRecord(crypto, rootKey, { purpose: 'kek', keyVersion: version }, place, plaintext),
    async unwrap(record, place) {
      const wrappedBy = keyVersionOf(record, 'kek')
      if (wrappedBy !== version) throw new SealError(`Wrapped by root key ${wrappedBy}; this is ${version}.`)
      return openRecord(crypto, rootKey, 'kek', place, record)
    },
    checkHealth: async () => {},
  }
}
