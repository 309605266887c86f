import { type Selectable, sql } from 'kysely'
import type { EvidenceFormatName, TrustAnchor } from '../../protocol/attestation/evidence-format.ts'
import type { Tx } from '../open.ts'
import type { Tables } from '../tables.ts'

/** A trust anchor as it is stored. Its MAC is not checked yet. */
export interface TrustAnchorRow extends TrustAnchor {
  organizationId: string
  id: string
  format: EvidenceFormatName
  name: string
  mac: Uint8Array
  macKeyVersion: number
  createdAt: number
  removedAt: number | undefined
}

/** Of those that add or remove anchors of an organization one comes first; what it did, the next one sees. */
export async function lockTrustAnchors(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'trust anchors', current_organization()), 0))`.execute(
    tx,
  )
}

/** `duplicate` when one of them is there. */
export async function insertTrustAnchors(tx: Tx, rows: readonly TrustAnchorRow[]): Promise<void> {
  const values = rows.map((row) => ({
    organization_id: row.organizationId,
    id: row.id,
    format: row.format,
    kind: row.kind,
    lookup_id: row.lookupId,
    der: row.der,
    name: row.name,
    mac: row.mac,
    mac_key_version: row.macKeyVersion,
    created_at: new Date(row.createdAt),
  }))
  await tx.insertInto('trust_anchor').values(values).execute()
}

/** Those that are there and of one of these look-up ids; how many there may be of each is bounded where they are added. */
export async function listLiveTrustAnchors(
  tx: Tx,
  format: EvidenceFormatName,
  lookupIds: readonly string[],
): Promise<TrustAnchorRow[]> {
  const rows = await tx
    .selectFrom('trust_anchor')
    .selectAll()
    .where('format', '=', format)
    .where(sql<boolean>`lookup_id = any(${lookupIds}::text[])`)
    .where('removed_at', 'is', null)
    .execute()
  return rows.map(toTrustAnchor)
}

/** Those of one of these look-up ids that were there at that time. */
export async function listTrustAnchorsAt(
  tx: Tx,
  { format, lookupIds, at }: { format: EvidenceFormatName; lookupIds: readonly string[]; at: number },
): Promise<TrustAnchorRow[]> {
  const rows = await tx
    .selectFrom('trust_anchor')
    .selectAll()
    .where('format', '=', format)
    .where(sql<boolean>`lookup_id = any(${lookupIds}::text[])`)
    .where(sql<boolean>`created_at <= ${new Date(at)} and (removed_at is null or removed_at > ${new Date(at)})`)
    .orderBy('id')
    .execute()
  return rows.map(toTrustAnchor)
}

export async function findTrustAnchor(tx: Tx, id: string): Promise<TrustAnchorRow | undefined> {
  const row = await tx.selectFrom('trust_anchor').selectAll().where('id', '=', id).executeTakeFirst()
  return row && toTrustAnchor(row)
}

/** Newest first, below `beforeId` where it is given; without those that are removed. */
export async function listTrustAnchors(
  tx: Tx,
  page: {
    limit: number
    beforeId: string | undefined
    format: EvidenceFormatName | undefined
    kind: TrustAnchor['kind'] | undefined
  },
): Promise<TrustAnchorRow[]> {
  const { limit, beforeId, format, kind } = page
  let query = tx.selectFrom('trust_anchor').selectAll().where('removed_at', 'is', null)
  if (beforeId !== undefined) query = query.where('id', '<', beforeId)
  if (format !== undefined) query = query.where('format', '=', format)
  if (kind !== undefined) query = query.where('kind', '=', kind)
  return (await query.orderBy('id', 'desc').limit(limit).execute()).map(toTrustAnchor)
}

/** Of one that is not removed yet; the caller holds `lockTrustAnchors`. */
export async function removeTrustAnchor(
  tx: Tx,
  { id, removedAt, mac, macKeyVersion }: { id: string; removedAt: number; mac: Uint8Array; macKeyVersion: number },
): Promise<void> {
  await tx
    .updateTable('trust_anchor')
    .set({ removed_at: new Date(removedAt), mac, mac_key_version: macKeyVersion })
    .where('id', '=', id)
    .where('removed_at', 'is', null)
    .returning('id')
    .executeTakeFirstOrThrow()
}

/** Of all organizations, under an older key than this one; ids alone. Those whose MAC is known to be wrong are left out. */
export async function listStaleTrustAnchorMacs(
  tx: Tx,
  belowVersion: number,
  pageSize: number,
): Promise<{ organizationId: string; id: string }[]> {
  const { rows } = await sql<{ organization_id: string; id: string }>`
    select organization_id, id from list_stale_trust_anchor_macs(${belowVersion}, ${pageSize})`.execute(tx)
  return rows.map(({ organization_id: organizationId, id }) => ({ organizationId, id }))
}

/** Those that are still under an older key, locked, in order. */
export async function lockStaleTrustAnchors(
  tx: Tx,
  belowVersion: number,
  ids: readonly string[],
): Promise<TrustAnchorRow[]> {
  const rows = await tx
    .selectFrom('trust_anchor')
    .selectAll()
    .where('id', 'in', ids)
    .where('mac_key_version', '<', belowVersion)
    .where('mac_mismatched_at', 'is', null)
    .orderBy('id')
    .forUpdate()
    .execute()
  return rows.map(toTrustAnchor)
}

export async function replaceTrustAnchorMac(
  tx: Tx,
  { id, mac, macKeyVersion }: { id: string; mac: Uint8Array; macKeyVersion: number },
): Promise<void> {
  await tx.updateTable('trust_anchor').set({ mac, mac_key_version: macKeyVersion }).where('id', '=', id).execute()
}

export async function markTrustAnchorMismatched(tx: Tx, id: string, at: number): Promise<void> {
  await tx
    .updateTable('trust_anchor')
    .set({ mac_mismatched_at: new Date(at) })
    .where('id', '=', id)
    .execute()
}

export function toTrustAnchor(row: Selectable<Tables['trust_anchor']>): TrustAnchorRow {
  return {
    organizationId: row.organization_id,
    id: row.id,
    format: row.format,
    kind: row.kind,
    lookupId: row.lookup_id,
    der: row.der,
    name: row.name,
    mac: row.mac,
    macKeyVersion: row.mac_key_version,
    createdAt: row.created_at,
    removedAt: row.removed_at ?? undefined,
  }
}
