import { type Selectable, sql } from 'kysely'
import type { EvidenceFormatName } from '../../protocol/attestation/evidence-format.ts'
import type { Tx } from '../open.ts'
import type { Tables } from '../tables.ts'

/** A reference value as it is stored. Its MAC is not checked yet. */
export interface ReferenceValueRow {
  organizationId: string
  id: string
  format: EvidenceFormatName
  name: string
  /** Canonical JSON. */
  body: string
  /** Its SHA-256. */
  bodyHash: Uint8Array
  mac: Uint8Array
  macKeyVersion: number
  createdAt: number
  removedAt: number | undefined
}

/** Of those that add or remove reference values of an organization one comes first; what it did, the next one sees. */
export async function lockReferenceValues(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'reference values', current_organization()), 0))`.execute(
    tx,
  )
}

/** `duplicate` when one of them is there. */
export async function insertReferenceValues(tx: Tx, rows: readonly ReferenceValueRow[]): Promise<void> {
  const values = rows.map((row) => ({
    organization_id: row.organizationId,
    id: row.id,
    format: row.format,
    name: row.name,
    body: row.body,
    body_hash: row.bodyHash,
    mac: row.mac,
    mac_key_version: row.macKeyVersion,
    created_at: new Date(row.createdAt),
  }))
  await tx.insertInto('reference_value').values(values).execute()
}

/** Those of this name that are not removed; how many there may be is bounded where they are added. */
export async function listLiveReferenceValues(
  tx: Tx,
  { format, name }: { format: EvidenceFormatName; name: string },
): Promise<ReferenceValueRow[]> {
  const rows = await tx
    .selectFrom('reference_value')
    .selectAll()
    .where('format', '=', format)
    .where('name', '=', name)
    .where('removed_at', 'is', null)
    .execute()
  return rows.map(toReferenceValue)
}

/** Those of one of these names that were there at that time. */
export async function listReferenceValuesAt(
  tx: Tx,
  { format, names, at }: { format: EvidenceFormatName; names: readonly string[]; at: number },
): Promise<ReferenceValueRow[]> {
  const rows = await tx
    .selectFrom('reference_value')
    .selectAll()
    .where('format', '=', format)
    .where(sql<boolean>`name = any(${names}::text[])`)
    .where(sql<boolean>`created_at <= ${new Date(at)} and (removed_at is null or removed_at > ${new Date(at)})`)
    .orderBy('id')
    .execute()
  return rows.map(toReferenceValue)
}

export async function findReferenceValue(tx: Tx, id: string): Promise<ReferenceValueRow | undefined> {
  const row = await tx.selectFrom('reference_value').selectAll().where('id', '=', id).executeTakeFirst()
  return row && toReferenceValue(row)
}

/** Newest first, below `beforeId` where it is given; without those that are removed. */
export async function listReferenceValues(
  tx: Tx,
  page: {
    limit: number
    beforeId: string | undefined
    format: EvidenceFormatName | undefined
    name: string | undefined
  },
): Promise<ReferenceValueRow[]> {
  const { limit, beforeId, format, name } = page
  let query = tx.selectFrom('reference_value').selectAll().where('removed_at', 'is', null)
  if (beforeId !== undefined) query = query.where('id', '<', beforeId)
  if (format !== undefined) query = query.where('format', '=', format)
  if (name !== undefined) query = query.where('name', '=', name)
  return (await query.orderBy('id', 'desc').limit(limit).execute()).map(toReferenceValue)
}

/** Of one that is not removed yet; the caller holds `lockReferenceValues`. */
export async function removeReferenceValue(
  tx: Tx,
  { id, removedAt, mac, macKeyVersion }: { id: string; removedAt: number; mac: Uint8Array; macKeyVersion: number },
): Promise<void> {
  await tx
    .updateTable('reference_value')
    .set({ removed_at: new Date(removedAt), mac, mac_key_version: macKeyVersion })
    .where('id', '=', id)
    .where('removed_at', 'is', null)
    .returning('id')
    .executeTakeFirstOrThrow()
}

/** Of all organizations, under an older key than this one; ids alone. Those whose MAC is known to be wrong are left out. */
export async function listStaleReferenceValueMacs(
  tx: Tx,
  belowVersion: number,
  pageSize: number,
): Promise<{ organizationId: string; id: string }[]> {
  const { rows } = await sql<{ organization_id: string; id: string }>`
    select organization_id, id from list_stale_reference_value_macs(${belowVersion}, ${pageSize})`.execute(tx)
  return rows.map(({ organization_id: organizationId, id }) => ({ organizationId, id }))
}

/** Those that are still under an older key, locked, in order. */
export async function lockStaleReferenceValues(
  tx: Tx,
  belowVersion: number,
  ids: readonly string[],
): Promise<ReferenceValueRow[]> {
  const rows = await tx
    .selectFrom('reference_value')
    .selectAll()
    .where('id', 'in', ids)
    .where('mac_key_version', '<', belowVersion)
    .where('mac_mismatched_at', 'is', null)
    .orderBy('id')
    .forUpdate()
    .execute()
  return rows.map(toReferenceValue)
}

export async function replaceReferenceValueMac(
  tx: Tx,
  { id, mac, macKeyVersion }: { id: string; mac: Uint8Array; macKeyVersion: number },
): Promise<void> {
  await tx.updateTable('reference_value').set({ mac, mac_key_version: macKeyVersion }).where('id', '=', id).execute()
}

export async function markReferenceValueMismatched(tx: Tx, id: string, at: number): Promise<void> {
  await tx
    .updateTable('reference_value')
    .set({ mac_mismatched_at: new Date(at) })
    .where('id', '=', id)
    .execute()
}

export function toReferenceValue(row: Selectable<Tables['reference_value']>): ReferenceValueRow {
  return {
    organizationId: row.organization_id,
    id: row.id,
    format: row.format,
    name: row.name,
    body: row.body,
    bodyHash: row.body_hash,
    mac: row.mac,
    macKeyVersion: row.mac_key_version,
    createdAt: row.created_at,
    removedAt: row.removed_at ?? undefined,
  }
}
