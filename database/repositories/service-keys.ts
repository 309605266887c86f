import { sql } from 'kysely'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import type { TrustKey, WireTrustBundle } from '../../protocol/trust.ts'
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
    })
    .execute()
}

export async function listKeks(tx: Tx): Promise<KekRow[]> {
  const rows = await tx.selectFrom('kek_version').select(['purpose', 'version', 'sealed', 'status']).execute()
  return rows.map(({ purpose, version, sealed, status }) => ({ purpose, version, sealed, active: status === 'ACTIVE' }))
}

export interface SigningKeyRow {
  kid: string
  use: TrustKey['use']
  alg: SignatureAlgorithm
  publicKey: Uint8Array
  sealedSeed: Uint8Array
  notBefore: number
  notAfter: number
}

export async function insertSigningKey(tx: Tx, key: SigningKeyRow): Promise<void> {
  await tx
    .insertInto('signing_key')
    .values({
      kid: key.kid,
      key_use: key.use,
      alg: key.alg,
      public_key: key.publicKey,
      sealed_seed: key.sealedSeed,
      status: 'ACTIVE',
      not_before: new Date(key.notBefore),
      not_after: new Date(key.notAfter),
    })
    .execute()
}

export async function listActiveSigningKeys(tx: Tx): Promise<SigningKeyRow[]> {
  const rows = await tx.selectFrom('signing_key').selectAll().where('status', '=', 'ACTIVE').execute()
  return rows.map((row) => ({
    kid: row.kid,
    use: row.key_use,
    alg: row.alg,
    publicKey: row.public_key,
    sealedSeed: row.sealed_seed,
    notBefore: row.not_before,
    notAfter: row.not_after,
  }))
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

/** In their wire form, in order. */
export async function listTrustBundles(tx: Tx, after: number): Promise<WireTrustBundle[]> {
  const rows = await tx
    .selectFrom('trust_bundle')
    .select('body')
    .where('sequence', '>', after)
    .orderBy('sequence')
    .limit(1000)
    .execute()
  return rows.map((row) => row.body)
}
