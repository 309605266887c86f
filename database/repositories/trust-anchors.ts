import { type Selectable, sql } from 'kysely'
import type { EvidenceFormatName, TrustAnchor } from '../../protocol/attestation/evidence-format.ts'
import type { Tx } from '../open.ts'
import type { Tables } from '../tables.ts'

/** As it is stored. Its MAC is not checked yet. */
export interface TrustAnchorRow extends TrustAnchor {
  input: 'trust_anchor'
  organizationId: string
  id: string
  format: EvidenceFormatName
  /** SHA-256 of `der`. */
  fingerprint: Uint8Array
  label: string | undefined
  mac: Uint8Array
  macKeyVersion: number
  createdAt: number
  removedAt: number | undefined
}

/** `duplicate` when the same stands there already and was not removed. */
export async function insertTrustAnchors(tx: Tx, rows: readonly TrustAnchorRow[]): Promise<void> {
  await tx
    .insertInto('trust_anchor')
    .values(
      rows.map((row) => ({
        organization_id: row.organizationId,
        id: row.id,
        format: row.format,
        kind: row.kind,
        lookup_id: row.lookupId,
        der: row.der,
        fingerprint: row.fingerprint,
        label: row.label ?? null,
        mac: row.mac,
        mac_key_version: row.macKeyVersion,
        created_at: new Date(row.createdAt),
      })),
    )
    .execute()
}

/** Those of these look-up ids that there were at a time. */
export async function findTrustAnchors(
  tx: Tx,
  wanted: { format: EvidenceFormatName; lookupIds: readonly string[]; at: number; limit: number },
): Promise<TrustAnchorRow[]> {
  const at = new Date(wanted.at)
  const rows = await tx
    .selectFrom('trust_anchor')
    .selectAll()
    .where('format', '=', wanted.format)
    .where('lookup_id', 'in', wanted.lookupIds)
    .where(sql<boolean>`created_at <= ${at} and (removed_at is null or removed_at > ${at})`)
    .orderBy('id')
    .limit(wanted.limit)
    .execute()
  return rows.map(toTrustAnchorRow)
}

/** That was not removed. */
export async function findSameTrustAnchor(
  tx: Tx,
  same: Pick<TrustAnchorRow, 'format' | 'kind' | 'lookupId' | 'fingerprint'>,
): Promise<TrustAnchorRow | undefined> {
  const row = await tx
    .selectFrom('trust_anchor')
    .selectAll()
    .where('format', '=', same.format)
    .where('kind', '=', same.kind)
    .where('lookup_id', '=', same.lookupId)
    .where('fingerprint', '=', same.fingerprint)
    .where('removed_at', 'is', null)
    .executeTakeFirst()
  return row && toTrustAnchorRow(row)
}

export async function findTrustAnchor(tx: Tx, id: string): Promise<TrustAnchorRow | undefined> {
  const row = await tx.selectFrom('trust_anchor').selectAll().where('id', '=', id).executeTakeFirst()
  return row && toTrustAnchorRow(row)
}

/** Newest first. */
export async function listTrustAnchors(
  tx: Tx,
  page: { limit: number; beforeId: string | undefined; format: EvidenceFormatName | undefined; withRemoved: boolean },
): Promise<TrustAnchorRow[]> {
  let query = tx.selectFrom('trust_anchor').selectAll()
  if (page.beforeId !== undefined) query = query.where('id', '<', page.beforeId)
  if (page.format !== undefined) query = query.where('format', '=', page.format)
  if (!page.withRemoved) query = query.where('removed_at', 'is', null)
  return (await query.orderBy('id', 'desc').limit(page.limit).execute()).map(toTrustAnchorRow)
}

/** False when it was removed before. */
export async function markTrustAnchorRemoved(tx: Tx, id: string, at: number): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('trust_anchor')
    .set({ removed_at: new Date(at) })
    .where('id', '=', id)
    .where('removed_at', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

export function toTrustAnchorRow(row: Selectable<Tables['trust_anchor']>): TrustAnchorRow {
  return {
    input: 'trust_anchor',
    organizationId: row.organization_id,
    id: row.id,
    format: row.format,
    kind: row.kind,
    lookupId: row.lookup_id,
    der: row.der,
    fingerprint: row.fingerprint,
    label: row.label ?? undefined,
    mac: row.mac,
    macKeyVersion: row.mac_key_version,
    createdAt: row.created_at,
    removedAt: row.removed_at ?? undefined,
  }
}
