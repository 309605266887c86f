import { sql } from 'kysely'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import type { Tx } from '../open.ts'

/** A version of a key-encryption key that is not destroyed. */
export interface KekLife {
  /** As in sealed records. */
  purpose: number
  version: number
  createdAt: number
  /** When its successor was asked for. */
  dueAt: number | undefined
  /** Undefined of the one that seals. */
  retiredAt: number | undefined
  /** At most so many, of a purpose that is counted; undefined where a release of before made it. */
  uses: number | undefined
}

/** The oldest version of each purpose first. */
export async function listKekLives(tx: Tx): Promise<KekLife[]> {
  const rows = await tx
    .selectFrom('kek_version')
    .select(['purpose', 'version', 'created_at', 'due_at', 'retired_at', 'uses'])
    .where('status', '<>', 'DESTROYED')
    .orderBy('purpose')
    .orderBy('version')
    .execute()
  return rows.map(({ purpose, version, created_at, due_at, retired_at, uses }) => ({
    purpose,
    version,
    createdAt: created_at,
    dueAt: due_at ?? undefined,
    retiredAt: retired_at ?? undefined,
    uses: uses ?? undefined,
  }))
}

/** With these, how many there were; undefined when the key may not seal so often, and nothing is reserved then. */
export async function reserveUses(
  tx: Tx,
  { purpose, version }: { purpose: number; version: number },
  count: number,
): Promise<number | undefined> {
  const { rows } = await sql<{ uses: number | null }>`
    select reserve_kek_uses(${purpose}, ${version}, ${count}) as uses`.execute(tx)
  return rows[0]?.uses ?? undefined
}

/** Asks for a successor of each that seals and has none asked for yet; those. */
export async function markKeksDue(tx: Tx, dueAt: number): Promise<{ purpose: number; version: number }[]> {
  return tx
    .updateTable('kek_version')
    .set({ due_at: new Date(dueAt) })
    .where('status', '=', 'ACTIVE')
    .where('due_at', 'is', null)
    .returning(['purpose', 'version'])
    .execute()
}

/** False when it does not seal. */
export async function retireKek(
  tx: Tx,
  { purpose, version }: { purpose: number; version: number },
  retiredAt: number,
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('kek_version')
    .set({ status: 'RETIRED', retired_at: new Date(retiredAt) })
    .where('purpose', '=', purpose)
    .where('version', '=', version)
    .where('status', '=', 'ACTIVE')
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** False while it seals, was retired less than a day ago, or something is sealed under it; then nothing happens. */
export async function destroyKek(
  tx: Tx,
  { purpose, version }: { purpose: number; version: number },
  destroyedAt: number,
): Promise<boolean> {
  const { rows } = await sql<{ destroyed: boolean }>`
    select destroy_kek(${purpose}, ${version}, ${new Date(destroyedAt)}) as destroyed`.execute(tx)
  return rows[0]?.destroyed ?? false
}

export interface SealedSeed {
  kid: string
  sealedSeed: Uint8Array
}

/** Every seed there is. */
export async function listSealedSeeds(tx: Tx): Promise<SealedSeed[]> {
  const rows = await tx
    .selectFrom('signing_key')
    .select(['kid', 'sealed_seed'])
    .where('sealed_seed', 'is not', null)
    .orderBy('kid')
    .execute()
  return rows.flatMap(({ kid, sealed_seed }) => (sealed_seed === null ? [] : [{ kid, sealedSeed: sealed_seed }]))
}

/** False when the seed is another one, or gone. */
export async function replaceSealedSeed(tx: Tx, old: SealedSeed, sealedSeed: Uint8Array): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('signing_key')
    .set({ sealed_seed: sealedSeed })
    .where('kid', '=', old.kid)
    .where('sealed_seed', '=', old.sealedSeed)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

export interface IdentityMac {
  kid: string
  principalId: string
  alg: SignatureAlgorithm
  publicKey: Uint8Array
  mac: Uint8Array
  macKeyVersion: number
}

/** Of all organizations, under an older version than this one; ids alone. Those whose MAC is known to be wrong are left out. */
export async function listStaleIdentityMacs(
  tx: Tx,
  belowVersion: number,
  pageSize: number,
): Promise<{ organizationId: string; kid: string }[]> {
  const { rows } = await sql<{ organization_id: string; kid: string }>`
    select organization_id, kid from list_stale_identity_macs(${belowVersion}, ${pageSize})`.execute(tx)
  return rows.map(({ organization_id, kid }) => ({ organizationId: organization_id, kid }))
}

export async function countStaleIdentityMacs(tx: Tx, belowVersion: number): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count_stale_identity_macs(${belowVersion}) as count`.execute(tx)
  return rows[0]?.count ?? 0
}

/** Those of the transaction's organization that are still under an older version, locked, in order. */
export async function lockStaleIdentityMacs(
  tx: Tx,
  belowVersion: number,
  kids: readonly string[],
): Promise<IdentityMac[]> {
  const rows = await tx
    .selectFrom('identity_key')
    .select(['kid', 'principal_id', 'alg', 'public_key', 'mac', 'mac_key_version'])
    .where('kid', 'in', kids)
    .where('mac_key_version', '<', belowVersion)
    .where('mac_mismatched_at', 'is', null)
    .orderBy('kid')
    .forUpdate()
    .execute()
  return rows.map((row) => ({
    kid: row.kid,
    principalId: row.principal_id,
    alg: row.alg,
    publicKey: row.public_key,
    mac: row.mac,
    macKeyVersion: row.mac_key_version,
  }))
}

/** Of locked rows, all in one statement. */
export async function replaceIdentityMacs(
  tx: Tx,
  made: readonly { kid: string; mac: Uint8Array }[],
  macKeyVersion: number,
): Promise<void> {
  const kids = made.map(({ kid }) => kid)
  const macs = made.map(({ mac }) => Buffer.from(mac))
  await sql`update identity_key set mac = made.mac, mac_key_version = ${macKeyVersion}
    from unnest(${kids}::text[], ${macs}::bytea[]) as made (kid, mac) where identity_key.kid = made.kid`.execute(tx)
}

export async function markIdentityMacMismatched(tx: Tx, kid: string, seenAt: number): Promise<void> {
  await tx
    .updateTable('identity_key')
    .set({ mac_mismatched_at: new Date(seenAt) })
    .where('kid', '=', kid)
    .execute()
}
