import { sql } from 'kysely'
import type { WireTrustBundle } from '../../protocol/trust.ts'
import type { Tx } from '../open.ts'

/** One initializer at a time; the others wait and find the work done. Held until the transaction ends. */
export async function lockInitialization(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtext('qflare initialization'))`.execute(tx)
}

export interface KekRow {
  purpose: number
  version: number
  sealed: Uint8Array
  active: boolean
}

export async function insertKek(tx: Tx, kek: KekRow, createdAt: number): Promise<void> {
  await tx
    .insertInto('kek_version')
    .values({
      purpose: kek.purpose,
      version: kek.version,
      sealed: kek.sealed,
      status: kek.active ? 'ACTIVE' : 'RETIRED',
      created_at: new Date(createdAt),
      retired_at: kek.active ? null : new Date(createdAt),
      uses: 0,
    })
    .execute()
}

/** Those that are not destroyed. */
export async function listKeks(tx: Tx): Promise<KekRow[]> {
  const rows = await tx.selectFrom('kek_version').select(['purpose', 'version', 'sealed', 'status']).execute()
  return rows.flatMap(({ purpose, version, sealed, status }) =>
    sealed === null ? [] : [{ purpose, version, sealed, active: status === 'ACTIVE' }],
  )
}

/** Another text whenever a key of the service, its state or the trust bundle is another one: cheap enough to be asked for often. */
export async function readKeyState(tx: Tx): Promise<string> {
  const { rows } = await sql<{ state: string }>`
    select concat_ws(' ',
      (select string_agg(concat_ws('.', purpose, version, status), ',' order by purpose, version) from kek_version),
      (select string_agg(concat_ws('.', kid, status), ',' order by kid) from signing_key where status <> 'RETIRED'),
      (select max(sequence) from trust_bundle)) as state`.execute(tx)
  return rows[0]?.state ?? ''
}

/** The body is kept in its wire form. */
export async function insertTrustBundle(
  tx: Tx,
  sequence: number,
  body: WireTrustBundle,
  createdAt: number,
): Promise<void> {
  await tx
    .insertInto('trust_bundle')
    .values({ sequence, body: JSON.stringify(body), created_at: new Date(createdAt) })
    .execute()
}

export async function findNewestTrustBundle(tx: Tx): Promise<WireTrustBundle | undefined> {
  const row = await tx.selectFrom('trust_bundle').select('body').orderBy('sequence', 'desc').limit(1).executeTakeFirst()
  return row?.body
}

export async function findTrustBundle(tx: Tx, sequence: number): Promise<WireTrustBundle | undefined> {
  const row = await tx.selectFrom('trust_bundle').select('body').where('sequence', '=', sequence).executeTakeFirst()
  return row?.body
}

/** In their wire form, in order; at most `limit`. */
export async function listTrustBundles(tx: Tx, after: number, limit = 1000): Promise<WireTrustBundle[]> {
  const rows = await selectTrustBundles(tx).where('sequence', '>', after).limit(limit).execute()
  return rows.map((row) => row.body)
}

/** Every one there is: some for each rotation, so that after years there are more than a page of them. */
export async function listAllTrustBundles(tx: Tx): Promise<WireTrustBundle[]> {
  return (await selectTrustBundles(tx).execute()).map((row) => row.body)
}

function selectTrustBundles(tx: Tx) {
  return tx.selectFrom('trust_bundle').select('body').orderBy('sequence')
}
