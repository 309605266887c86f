import { concatenate, encode, u64, uuidToBytes } from '../../protocol/encoding.ts'
import { ratchet } from '../../protocol/exchange/epochs.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import {
  openRecord,
  SEAL_OVERHEAD_BYTES,
  SealError,
  type SealedPlace,
  sealRecord,
} from '../../runtime/custody/sealed-record.ts'
import type { EpochKey } from './temporal-keys.ts'

/** Of one sealed chain key. */
export const SEALED_CHAIN_BYTES = 64 + SEAL_OVERHEAD_BYTES

/** Whose chains they are: a writer of the database gives no session of one device to another. */
export interface ChainHolder {
  organizationId: string
  principalId: string
  /** Of the session. */
  id: string
}

/** The chain keys of `firstEpoch` on, each sealed under its epoch's key, one after the other. Wipes `chain`. */
export function sealChains(
  crypto: Primitives,
  session: ChainHolder,
  firstEpoch: number,
  chain: Uint8Array,
  epochKeys: readonly EpochKey[],
): Uint8Array {
  let current = chain
  const sealed = epochKeys.map(({ seal }, index) => {
    const epoch = firstEpoch + index
    if (index > 0) {
      const previous = current
      current = ratchet(crypto, previous, epoch - 1)
      previous.fill(0)
    }
    return sealRecord(crypto, seal, { purpose: 'chain', keyVersion: epoch }, placeOf(session, epoch), current)
  })
  current.fill(0)
  return concatenate(sealed)
}

/**
 * Undefined when the epoch's key is another than it was sealed under, because its record was lost and made anew, or when the chain is
 * another's. The caller wipes it.
 */
export function openChain(
  crypto: Primitives,
  session: ChainHolder,
  epoch: number,
  sealedChain: Uint8Array,
  epochKey: EpochKey,
): Uint8Array | undefined {
  try {
    return openRecord(crypto, epochKey.seal, 'chain', placeOf(session, epoch), sealedChain)
  } catch (error) {
    if (error instanceof SealError) return undefined
    throw error
  }
}

function placeOf(session: ChainHolder, epoch: number): SealedPlace {
  return {
    organizationId: session.organizationId,
    table: 'session',
    column: 'chains',
    primaryKey: encode('session', uuidToBytes(session.principalId), uuidToBytes(session.id), u64(epoch)),
  }
}
