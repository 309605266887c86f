import { encode, u64 } from '../../protocol/encoding.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Keyring } from '../custody/keyring.ts'
import { SEAL_OVERHEAD_BYTES, type SealedPlace } from '../custody/sealed-record.ts'
import type { TemporalKeyName } from './temporal-key-store.ts'

/** Bytes of the secret inside a record: an epoch's AES-256 key, a bucket's ML-KEM-1024 seed. */
export const temporalSecretBytes = { epoch: 32, bucket: 64 } as const

/** Of the sealed record. */
export function temporalRecordBytes(kind: TemporalKeyName['kind']): number {
  return temporalSecretBytes[kind] + SEAL_OVERHEAD_BYTES
}

/** Epoch keys exist this far ahead, so that every chain of a session can be sealed when it is made. */
export const EPOCHS_AHEAD = 15
/** Bucket keys exist for the current bucket and the next only: a theft impersonates the server for minutes. */
export const BUCKETS_AHEAD = 1

export function sealTemporalRecord(keyring: Keyring, name: TemporalKeyName, secret: Uint8Array): Uint8Array {
  return keyring.seal('temporalKey', placeOf(name), secret)
}

/** Rejects with SealError. */
export function openTemporalRecord(keyring: Keyring, name: TemporalKeyName, record: Uint8Array): Promise<Uint8Array> {
  return keyring.open('temporalKey', placeOf(name), record)
}

function placeOf({ kind, number, generation }: TemporalKeyName): SealedPlace {
  const primaryKey = encode(kind, u64(number), u64(generation))
  return { organizationId: NIL_UUID, table: 'temporal_key', column: 'record', primaryKey }
}
