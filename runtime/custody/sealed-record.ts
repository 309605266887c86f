import { concatenate, encode, uuidToBytes } from '../../protocol/encoding.ts'
import type { Primitives } from '../../protocol/primitives.ts'

/**
 * `0x01 ‖ u16 purpose ‖ u32 keyVersion ‖ nonce[12] ‖ ciphertext ‖ tag[16]`. The additional data names where the record
 * stands, so that a writer of the database cannot move it.
 */
const VERSION = 1
const HEADER_BYTES = 7
const NONCE_BYTES = 12
/** What sealing adds to a plaintext, in bytes. */
export const SEAL_OVERHEAD_BYTES = HEADER_BYTES + NONCE_BYTES + 16

/** The use of a sealed value; each has key-encryption keys of its own, but `chain`, whose keys are the epochs'. */
export const sealPurposes = {
  kek: 1,
  signingKey: 2,
  identityMac: 3,
  challenge: 4,
  temporalKey: 5,
  chain: 6,
} as const
export type SealPurpose = keyof typeof sealPurposes

export interface SealedPlace {
  organizationId: string
  table: string
  column: string
  primaryKey: Uint8Array
}

export class SealError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'SealError'
  }
}

export function sealRecord(
  crypto: Primitives,
  key: Uint8Array,
  header: { purpose: SealPurpose; keyVersion: number },
  place: SealedPlace,
  plaintext: Uint8Array,
): Uint8Array {
  const head = new Uint8Array(HEADER_BYTES)
  const view = new DataView(head.buffer)
  view.setUint8(0, VERSION)
  view.setUint16(1, sealPurposes[header.purpose])
  view.setUint32(3, header.keyVersion)
  const nonce = crypto.randomBytes(NONCE_BYTES)
  // Of a temporal key the sealed record is a secret too: it is what destruction destroys.
  const isSecret = header.purpose === 'temporalKey'
  const sealed = crypto.sealAesGcm(key, nonce, plaintext, additionalData(head, place), isSecret)
  const record = concatenate([head, nonce, sealed])
  sealed.fill(0)
  return record
}

/** Which version of the key opens it. Throws SealError when it is no sealed record of this purpose. */
export function keyVersionOf(record: Uint8Array, purpose: SealPurpose): number {
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength)
  if (
    record.length < SEAL_OVERHEAD_BYTES ||
    view.getUint8(0) !== VERSION ||
    view.getUint16(1) !== sealPurposes[purpose]
  ) {
    throw new SealError(`Not a sealed record of purpose ${purpose}.`)
  }
  return view.getUint32(3)
}

/** With exactly the key that the header names; never by trial. Throws SealError when it was moved or changed. */
export function openRecord(
  crypto: Primitives,
  key: Uint8Array,
  purpose: SealPurpose,
  place: SealedPlace,
  record: Uint8Array,
): Uint8Array {
  keyVersionOf(record, purpose)
  const head = record.subarray(0, HEADER_BYTES)
  const nonce = record.subarray(HEADER_BYTES, HEADER_BYTES + NONCE_BYTES)
  const ciphertext = record.subarray(HEADER_BYTES + NONCE_BYTES)
  try {
    return crypto.openAesGcm(key, nonce, ciphertext, additionalData(head, place))
  } catch (cause) {
    throw new SealError(
      `A sealed value of ${place.table}.${place.column} does not open: changed, moved, or another key.`,
      {
        cause,
      },
    )
  }
}

function additionalData(head: Uint8Array, place: SealedPlace): Uint8Array {
  return encode('QFLARE-v1 seal', head, uuidToBytes(place.organizationId), place.table, place.column, place.primaryKey)
}
