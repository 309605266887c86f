import { sql } from 'kysely'
import type { Suite } from '../../protocol/suites.ts'
import type { Tx } from '../open.ts'
import type { TemporalKeyKind } from '../tables.ts'

export interface TemporalKeyRow {
  kind: TemporalKeyKind
  number: number
  generation: number
  /** SHA3-256 of the sealed record in the temporal key store. */
  recordHash: Uint8Array
  destroyedAt: number | undefined
}

const columns = ['kind', 'number', 'generation', 'record_hash', 'destroyed_at'] as const

/** Every generation of one key, the newest first. */
export async function listTemporalKeys(tx: Tx, kind: TemporalKeyKind, number: number): Promise<TemporalKeyRow[]> {
  const rows = await tx
    .selectFrom('temporal_key')
    .select(columns)
    .where('kind', '=', kind)
    .where('number', '=', number)
    .orderBy('generation', 'desc')
    .execute()
  return rows.map(toTemporalKey)
}

/** The newest generation of every key from `firstNumber` on. */
export async function listNewestTemporalKeys(tx: Tx, firstNumber: number): Promise<TemporalKeyRow[]> {
  const rows = await tx
    .selectFrom('temporal_key')
    .distinctOn(['kind', 'number'])
    .select(columns)
    .where('number', '>=', firstNumber)
    .orderBy('kind')
    .orderBy('number')
    .orderBy('generation', 'desc')
    .execute()
  return rows.map(toTemporalKey)
}

/** Until the transaction ends: whoever makes a record whose row is about to follow. Many at once. */
export async function shareTemporalRecords(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock_shared(hashtext('qflare temporal records'))`.execute(tx)
}

/** Until the transaction ends: every record that any process made has its row, or never gets one. */
export async function lockTemporalRecords(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtext('qflare temporal records'))`.execute(tx)
}

/** Alive ones whose number is below, the oldest first. */
export async function listOverdueTemporalKeys(tx: Tx, numberBelow: number): Promise<TemporalKeyRow[]> {
  const rows = await tx
    .selectFrom('temporal_key')
    .select(columns)
    .where('destroyed_at', 'is', null)
    .where('number', '<', numberBelow)
    .orderBy('number')
    .orderBy('kind')
    .limit(1000)
    .execute()
  return rows.map(toTemporalKey)
}

export async function insertTemporalKey(
  tx: Tx,
  row: Omit<TemporalKeyRow, 'destroyedAt'> & { keyVersion: number },
  madeAt: number,
): Promise<void> {
  await tx
    .insertInto('temporal_key')
    .values({
      kind: row.kind,
      number: row.number,
      generation: row.generation,
      record_hash: row.recordHash,
      key_version: row.keyVersion,
      made_at: new Date(madeAt),
    })
    .execute()
}

/** Of every generation; the lowest number first. */
export async function listLiveTemporalKeys(tx: Tx): Promise<{ kind: TemporalKeyKind; number: number }[]> {
  return tx
    .selectFrom('temporal_key')
    .select(['kind', 'number'])
    .where('destroyed_at', 'is', null)
    .orderBy('number')
    .execute()
}

/** False when somebody recorded it before. */
export async function recordDestruction(
  tx: Tx,
  key: { kind: TemporalKeyKind; number: number; generation: number },
  destroyedAt: number,
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('temporal_key')
    .set({ destroyed_at: new Date(destroyedAt) })
    .where('kind', '=', key.kind)
    .where('number', '=', key.number)
    .where('generation', '=', key.generation)
    .where('destroyed_at', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

export interface BucketCertificateRow {
  suite: Suite
  bucket: number
  generation: number
  kid: string
  publicKey: Uint8Array
  signature: Uint8Array
}

export async function insertBucketCertificate(tx: Tx, row: BucketCertificateRow): Promise<void> {
  await tx
    .insertInto('bucket_certificate')
    .values({
      suite: row.suite,
      bucket: row.bucket,
      generation: row.generation,
      kid: row.kid,
      public_key: row.publicKey,
      signature: row.signature,
    })
    .execute()
}

/** The newest generation, unless its key was destroyed. */
export async function findBucketCertificate(
  tx: Tx,
  suite: Suite,
  bucket: number,
): Promise<BucketCertificateRow | undefined> {
  const row = await tx
    .selectFrom('bucket_certificate')
    .selectAll()
    .where('suite', '=', suite)
    .where('bucket', '=', bucket)
    .orderBy('generation', 'desc')
    .executeTakeFirst()
  if (row === undefined) return undefined
  const { public_key, ...rest } = row
  return { ...rest, publicKey: public_key }
}

/** True when it was missing. `day` is a UTC date, `YYYY-MM-DD`. */
export async function makeSessionPartition(tx: Tx, day: string): Promise<boolean> {
  const { rows } = await sql<{ made: boolean }>`select make_session_partition(${day}::date) as made`.execute(tx)
  return rows[0]?.made ?? false
}

function toTemporalKey(row: {
  kind: TemporalKeyKind
  number: number
  generation: number
  record_hash: Uint8Array
  destroyed_at: number | null
}): TemporalKeyRow {
  const { record_hash, destroyed_at, ...rest } = row
  return { ...rest, recordHash: record_hash, destroyedAt: destroyed_at ?? undefined }
}
