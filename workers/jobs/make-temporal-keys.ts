// Running it twice is harmless: a record is made once by the store, and a key that exists is left as it is.

import { DatabaseError } from '../../database/errors.ts'
import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  insertBucketCertificate,
  insertTemporalKey,
  listTemporalKeys,
  shareTemporalRecords,
  type TemporalKeyRow,
} from '../../database/repositories/temporal-keys.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { BUCKET_MS, bucketAt, bucketCertificateBytes, SKEW_MS } from '../../protocol/exchange/bucket.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { keyVersionOf, SealError } from '../../runtime/custody/sealed-record.ts'
import { currentOf, type Signer } from '../../runtime/custody/signer.ts'
import { newId } from '../../runtime/ids.ts'
import type { TemporalKeyName, TemporalKeyStore } from '../../runtime/temporal/temporal-key-store.ts'
import {
  BUCKETS_AHEAD,
  EPOCHS_AHEAD,
  openTemporalRecord,
  sealTemporalRecord,
  temporalSecretBytes,
} from '../../runtime/temporal/temporal-record.ts'
import { destroyIfUnknown } from './destroy-unknown-records.ts'

export interface MakeTemporalKeysParts {
  database: Database
  store: TemporalKeyStore
  keyring: Keyring
  bucketSigner: Signer
  crypto: Primitives
  writeEvent: WriteEvent
}

const SUITE = 'ML-KEM-1024'

/**
 * The epoch keys from the current epoch on, and the keys of the current bucket and the next. What becomes current within the
 * skew counts as current, so that a bucket begins with the next one's key at hand. Returns what was made.
 */
export async function makeTemporalKeys(parts: MakeTemporalKeysParts, now: number): Promise<TemporalKeyName[]> {
  const current = bucketAt(now + SKEW_MS)
  const made: TemporalKeyName[] = []
  for (let number = bucketAt(now); number <= current + EPOCHS_AHEAD; number++) {
    made.push(...(await makeKey(parts, 'epoch', number, now)))
    if (number <= current + BUCKETS_AHEAD) made.push(...(await makeKey(parts, 'bucket', number, now)))
  }
  return made
}

async function makeKey(
  parts: MakeTemporalKeysParts,
  kind: TemporalKeyName['kind'],
  number: number,
  now: number,
): Promise<TemporalKeyName[]> {
  const known = await parts.database.withoutOrganization((tx) => listTemporalKeys(tx, kind, number))
  const newest = known[0]
  if (newest?.destroyedAt !== undefined) return []
  if (newest !== undefined && (await isIntact(parts, newest))) return []
  // A record that was lost is never made again under its name: sessions under it are over, the next generation begins.
  const name = { kind, number, generation: (newest?.generation ?? -1) + 1 }
  const draft = parts.crypto.randomBytes(temporalSecretBytes[kind])
  const sealed = sealTemporalRecord(parts.keyring, name, draft)
  draft.fill(0)
  try {
    await parts.database.withOrganization(NIL_UUID, async (tx) => {
      await shareTemporalRecords(tx)
      await recordKey(parts, tx, { name, record: await parts.store.makeOnce(name, sealed) }, now)
    })
    return [name]
  } catch (error) {
    // Another worker was faster and recorded the same record.
    if (error instanceof DatabaseError && error.code === 'duplicate') return []
    // Somebody put there what does not open. It goes, or no key of this name could be made; the next run makes it.
    if (error instanceof SealError) await destroyIfUnknown(parts, name, now)
    throw error
  } finally {
    sealed.fill(0)
  }
}

async function isIntact(parts: MakeTemporalKeysParts, row: TemporalKeyRow): Promise<boolean> {
  const record = await parts.store.find(row)
  if (record === undefined) return false
  const recordHash = parts.crypto.hash256(record)
  record.fill(0)
  return parts.crypto.equal(recordHash, row.recordHash)
}

async function recordKey(
  parts: MakeTemporalKeysParts,
  tx: Tx,
  { name, record }: { name: TemporalKeyName; record: Uint8Array },
  now: number,
): Promise<void> {
  const recordHash = parts.crypto.hash256(record)
  // A record that does not open is not recorded either, of an epoch as little as of a bucket.
  const secret = await openTemporalRecord(parts.keyring, name, record)
  const keyVersion = keyVersionOf(record, 'temporalKey')
  let certificate: Awaited<ReturnType<typeof certify>> | undefined
  try {
    if (name.kind === 'bucket') certificate = await certify(parts, name.number, secret)
  } finally {
    for (const bytes of [secret, record]) bytes.fill(0)
  }
  await insertTemporalKey(tx, { ...name, recordHash, keyVersion }, now)
  if (certificate !== undefined) await insertBucketCertificate(tx, { ...certificate, generation: name.generation })
  const event = parts.writeEvent(
    {
      organizationId: NIL_UUID,
      actor: { type: 'service', id: NIL_UUID },
      type: 'temporal_key.made',
      subject: { kind: name.kind, number: name.number, generation: name.generation },
      data: { recordHash: toBase64url(recordHash) },
      requestId: newId(),
    },
    now,
  )
  await insertEvents(tx, [event])
}

async function certify(parts: MakeTemporalKeysParts, bucket: number, seed: Uint8Array) {
  const publicKey = parts.crypto.importDecapsulationKey(SUITE, seed).encapsulationKey
  const signer = currentOf(parts.bucketSigner)
  const kid = signer.keyId
  const notBefore = bucket * BUCKET_MS
  const body = { suite: SUITE, bucket, notBefore, notAfter: notBefore + BUCKET_MS, kid, publicKey } as const
  const signature = await signer.sign(bucketCertificateBytes(body), signatureContexts.bucket)
  return { suite: SUITE, bucket, kid, publicKey, signature } as const
}
