import { type Selectable, sql } from 'kysely'
import type { EvidenceFormatName } from '../../protocol/attestation/evidence-format.ts'
import type { Tx } from '../open.ts'
import type { Tables } from '../tables.ts'

/** As it is stored. Its MAC is not checked yet. */
export interface ReferenceValueRow {
  input: 'reference_value'
  organizationId: string
  id: string
  format: EvidenceFormatName
  /** Many values have one name; what one of them allows is allowed. */
  name: string
  /** Canonical JSON. */
  body: string
  /** SHA-256 of it. */
  fingerprint: Uint8Array
  mac: Uint8Array
  macKeyVersion: number
  createdAt: number
  removedAt: number | undefined
}

/** `duplicate` when the same stands there already and was not removed. */
export async function insertReferenceValues(tx: Tx, rows: readonly ReferenceValueRow[]): Promise<void> {
  await tx
    .insertInto('reference_value')
    .values(
      rows.map((row) => ({
        organization_id: row.organizationId,
        id: row.id,
        format: row.format,
        name: row.name,
        body: row.body,
        fingerprint: row.fingerprint,
        mac: row.mac,
        mac_key_version: row.macKeyVersion,
        created_at: new Date(row.createdAt),
      })),
    )
    .execute()
}

/** Those of these names that there were at a time. */
export async function findReferenceValues(
  tx: Tx,
  wanted: { format: EvidenceFormatName; names: readonly string[]; at: number; limit: number },
): Promise<ReferenceValueRow[]> {
  const at = new Date(wanted.at)
  const rows = await tx
    .selectFrom('reference_value')
    .selectAll()
    .where('format', '=', wanted.format)
    .where('name', 'in', wanted.names)
    .where(sql<boolean>`created_at <= ${at} and (removed_at is null or removed_at > ${at})`)
    .orderBy('id')
    .limit(wanted.limit)
    .execute()
  return rows.map(toReferenceValueRow)
}

/** That was not removed. */
export async function findSameReferenceValue(
  tx: Tx,
  same: Pick<ReferenceValueRow, 'format' | 'name' | 'fingerprint'>,
): Promise<ReferenceValueRow | undefined> {
  const row = await tx
    .selectFrom('reference_value')
    .selectAll()
    .where('format', '=', same.format)
    .where('name', '=', same.name)
    .where('fingerprint', '=', same.fingerprint)
    .where('removed_at', 'is', null)
    .executeTakeFirst()
  return row && toReferenceValueRow(row)
}

export async function findReferenceValue(tx: Tx, id: string): Promise<ReferenceValueRow | undefined> {
  const row = await tx.selectFrom('reference_value').selectAll().where('id', '=', id).executeTakeFirst()
  return row && toReferenceValueRow(row)
}

/** Newest first. */
export async function listReferenceValues(
  tx: Tx,
  page: {
    limit: number
    beforeId: string | undefined
    format: EvidenceFormatName | undefined
    name: string | undefined
    withRemoved: boolean
  },
): Promise<ReferenceValueRow[]> {
  let query = tx.selectFrom('reference_value').selectAll()
  if (page.beforeId !== undefined) query = query.where('id', '<', page.beforeId)
  if (page.format !== undefined) query = query.where('format', '=', page.format)
  if (page.name !== undefined) query = query.where('name', '=', page.name)
  if (!page.withRemoved) query = query.where('removed_at', 'is', null)
  return (await query.orderBy('id', 'desc').limit(page.limit).execute()).map(toReferenceValueRow)
}

/** False when it was removed before. */
export async function markReferenceValueRemoved(tx: Tx, id: string, at: number): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('reference_value')
    .set({ removed_at: new Date(at) })
    .where('id', '=', id)
    .where('removed_at', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

export function toReferenceValueRow(row: Selectable<Tables['reference_value']>): ReferenceValueRow {
  return {
    input: 'reference_value',
    organizationId: row.organization_id,
    id: row.id,
    format: row.format,
    name: row.name,
    body: row.body,
    fingerprint: row.fingerprint,
    mac: row.mac,
    macKeyVersion: row.mac_key_version,
    createdAt: row.created_at,
    removedAt: row.removed_at ?? undefined,
  }
}
