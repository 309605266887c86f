import { type Selectable, sql } from 'kysely'
import type { CollateralKind } from '../../protocol/attestation/evidence-format.ts'
import type { Tx } from '../open.ts'
import type { Tables } from '../tables.ts'

/** Collateral as it is stored, without its body. Its MAC is not checked yet. */
export interface CollateralRow {
  organizationId: string
  id: string
  kind: CollateralKind
  lookupId: string
  name: string
  issuedAt: number
  nextUpdateAt: number | undefined
  /** SHA-256 of the body. */
  bodyHash: Uint8Array
  bodyBytes: number
  chain: readonly Uint8Array[]
  mac: Uint8Array
  macKeyVersion: number
  createdAt: number
  removedAt: number | undefined
}

/** Of those that add or remove collateral of an organization one comes first; what it did, the next one sees. */
export async function lockCollateral(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'collateral', current_organization()), 0))`.execute(
    tx,
  )
}

/** Its body, or the id of the one that has the same. `duplicate` when there is one of this look-up id. */
export async function insertCollateral(
  tx: Tx,
  row: Omit<CollateralRow, 'bodyBytes'>,
  body: Uint8Array | { of: string },
): Promise<void> {
  const hexChain = row.chain.map((der) => Buffer.from(der).toString('hex'))
  await tx
    .insertInto('collateral')
    .values({
      organization_id: row.organizationId,
      id: row.id,
      kind: row.kind,
      lookup_id: row.lookupId,
      name: row.name,
      issued_at: new Date(row.issuedAt),
      next_update_at: row.nextUpdateAt === undefined ? null : new Date(row.nextUpdateAt),
      body: 'of' in body ? null : body,
      body_of: 'of' in body ? body.of : null,
      body_hash: row.bodyHash,
      chain: sql<
        Uint8Array[]
      >`array(select decode(hex, 'hex') from unnest(${hexChain}::text[]) with ordinality as one(hex, at) order by at)`,
      mac: row.mac,
      mac_key_version: row.macKeyVersion,
      created_at: new Date(row.createdAt),
    })
    .execute()
}

/** Its own, or that of the row that has it. */
const bodyOfRow = sql<Uint8Array>`coalesce(collateral.body, (select owner.body from collateral owner
  where owner.organization_id = collateral.organization_id and owner.id = collateral.body_of))`

/** All but the body, which may be long. */
function selectFacts(tx: Tx) {
  return tx
    .selectFrom('collateral')
    .select([
      'organization_id',
      'id',
      'kind',
      'lookup_id',
      'name',
      'issued_at',
      'next_update_at',
      'body_hash',
      'chain',
      'mac',
      'mac_key_version',
      'created_at',
      'removed_at',
      sql<number>`length(${bodyOfRow})`.as('body_bytes'),
    ])
}

export async function findLiveCollateral(tx: Tx, lookupId: string): Promise<CollateralRow | undefined> {
  const row = await selectFacts(tx).where('lookup_id', '=', lookupId).where('removed_at', 'is', null).executeTakeFirst()
  return row && toRow(row)
}

/** Those of one of these look-up ids that were there at that time: one of each at most. */
export async function listCollateralAt(
  tx: Tx,
  { lookupIds, at }: { lookupIds: readonly string[]; at: number },
): Promise<CollateralRow[]> {
  const rows = await selectFacts(tx)
    .where(sql<boolean>`lookup_id = any(${lookupIds}::text[])`)
    .where(sql<boolean>`created_at <= ${new Date(at)} and (removed_at is null or removed_at > ${new Date(at)})`)
    .orderBy('id')
    .execute()
  return rows.map(toRow)
}

export async function findCollateral(tx: Tx, id: string): Promise<CollateralRow | undefined> {
  const row = await selectFacts(tx).where('id', '=', id).executeTakeFirst()
  return row && toRow(row)
}

export async function getCollateralBody(tx: Tx, id: string): Promise<Uint8Array> {
  const { body } = await tx
    .selectFrom('collateral')
    .select(bodyOfRow.as('body'))
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  return body
}

/** The row that has the body of this one, if it is still that of the hash of both. */
export async function findBodyOwner(tx: Tx, id: string): Promise<string | undefined> {
  const row = await tx
    .selectFrom('collateral as one')
    .innerJoin('collateral as owner', (join) =>
      join
        .onRef('owner.organization_id', '=', 'one.organization_id')
        .on(sql<boolean>`owner.id = coalesce(one.body_of, one.id)`),
    )
    .select('owner.id')
    .where('one.id', '=', id)
    .where(sql<boolean>`sha256(owner.body) = one.body_hash`)
    .executeTakeFirst()
  return row?.id
}

/** Newest first, below `beforeId` where it is given; without those that are removed. */
export async function listCollateral(
  tx: Tx,
  page: { limit: number; beforeId: string | undefined; kind: CollateralKind | undefined },
): Promise<CollateralRow[]> {
  let query = selectFacts(tx).where('removed_at', 'is', null)
  if (page.beforeId !== undefined) query = query.where('id', '<', page.beforeId)
  if (page.kind !== undefined) query = query.where('kind', '=', page.kind)
  return (await query.orderBy('id', 'desc').limit(page.limit).execute()).map(toRow)
}

/** Of one that is not removed yet; the caller holds `lockCollateral`. */
export async function removeCollateral(
  tx: Tx,
  { id, removedAt, mac, macKeyVersion }: { id: string; removedAt: number; mac: Uint8Array; macKeyVersion: number },
): Promise<void> {
  await tx
    .updateTable('collateral')
    .set({ removed_at: new Date(removedAt), mac, mac_key_version: macKeyVersion })
    .where('id', '=', id)
    .where('removed_at', 'is', null)
    .returning('id')
    .executeTakeFirstOrThrow()
}

/** Of all organizations, under an older key than this one; ids alone. Those whose MAC is known to be wrong are left out. */
export async function listStaleCollateralMacs(
  tx: Tx,
  belowVersion: number,
  pageSize: number,
): Promise<{ organizationId: string; id: string }[]> {
  const { rows } = await sql<{ organization_id: string; id: string }>`
    select organization_id, id from list_stale_collateral_macs(${belowVersion}, ${pageSize})`.execute(tx)
  return rows.map(({ organization_id: organizationId, id }) => ({ organizationId, id }))
}

/** Those that are still under an older key, locked, in order. */
export async function lockStaleCollateral(
  tx: Tx,
  belowVersion: number,
  ids: readonly string[],
): Promise<CollateralRow[]> {
  const rows = await selectFacts(tx)
    .where('id', 'in', ids)
    .where('mac_key_version', '<', belowVersion)
    .where('mac_mismatched_at', 'is', null)
    .orderBy('id')
    .forUpdate()
    .execute()
  return rows.map(toRow)
}

export async function replaceCollateralMac(
  tx: Tx,
  { id, mac, macKeyVersion }: { id: string; mac: Uint8Array; macKeyVersion: number },
): Promise<void> {
  await tx.updateTable('collateral').set({ mac, mac_key_version: macKeyVersion }).where('id', '=', id).execute()
}

export async function markCollateralMismatched(tx: Tx, id: string, at: number): Promise<void> {
  await tx
    .updateTable('collateral')
    .set({ mac_mismatched_at: new Date(at) })
    .where('id', '=', id)
    .execute()
}

type Facts = Omit<Selectable<Tables['collateral']>, 'body' | 'body_of' | 'mac_mismatched_at'> & { body_bytes: number }

function toRow(row: Facts): CollateralRow {
  return {
    organizationId: row.organization_id,
    id: row.id,
    kind: row.kind,
    lookupId: row.lookup_id,
    name: row.name,
    issuedAt: row.issued_at,
    nextUpdateAt: row.next_update_at ?? undefined,
    bodyHash: row.body_hash,
    bodyBytes: row.body_bytes,
    chain: row.chain,
    mac: row.mac,
    macKeyVersion: row.mac_key_version,
    createdAt: row.created_at,
    removedAt: row.removed_at ?? undefined,
  }
}
