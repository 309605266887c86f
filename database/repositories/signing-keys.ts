import { sql } from 'kysely'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import type { TrustKey } from '../../protocol/trust.ts'
import type { Tx } from '../open.ts'

export interface SigningKeyRow {
  kid: string
  use: TrustKey['use']
  alg: SignatureAlgorithm
  publicKey: Uint8Array
  sealedSeed: Uint8Array
  notBefore: number
  notAfter: number
}

/** `activatedAt`: undefined for one that is published and does not sign yet. */
export async function insertSigningKey(
  tx: Tx,
  key: SigningKeyRow & { publishedAt: number; activatedAt: number | undefined },
): Promise<void> {
  await tx
    .insertInto('signing_key')
    .values({
      kid: key.kid,
      key_use: key.use,
      alg: key.alg,
      public_key: key.publicKey,
      sealed_seed: key.sealedSeed,
      status: key.activatedAt === undefined ? 'PUBLISHED' : 'ACTIVE',
      not_before: new Date(key.notBefore),
      not_after: new Date(key.notAfter),
      published_at: new Date(key.publishedAt),
      activated_at: key.activatedAt === undefined ? null : new Date(key.activatedAt),
    })
    .execute()
}

/** Those that sign. */
export async function listActiveSigningKeys(tx: Tx): Promise<SigningKeyRow[]> {
  const rows = await tx.selectFrom('signing_key').selectAll().where('status', '=', 'ACTIVE').execute()
  return rows.flatMap((row) =>
    row.sealed_seed === null
      ? []
      : [
          {
            kid: row.kid,
            use: row.key_use,
            alg: row.alg,
            publicKey: row.public_key,
            sealedSeed: row.sealed_seed,
            notBefore: row.not_before,
            notAfter: row.not_after,
          },
        ],
  )
}

/** Every key there ever was, with the seeds of those that have one. */
export async function listSigningKeys(tx: Tx): Promise<
  (Omit<SigningKeyRow, 'publicKey' | 'sealedSeed'> & {
    status: SigningKeyLife['status']
    sealedSeed: Uint8Array | undefined
  })[]
> {
  const rows = await tx.selectFrom('signing_key').selectAll().execute()
  return rows.map((row) => ({
    kid: row.kid,
    use: row.key_use,
    alg: row.alg,
    status: row.status,
    sealedSeed: row.sealed_seed ?? undefined,
    notBefore: row.not_before,
    notAfter: row.not_after,
  }))
}

/** When the keys that sign end, in milliseconds since the Unix epoch; of several of one use the first. */
export async function listSigningKeyEnds(tx: Tx): Promise<{ use: TrustKey['use']; endsAt: number }[]> {
  const rows = await tx
    .selectFrom('signing_key')
    .select(['key_use', (eb) => eb.fn.min('not_after').as('ends_at')])
    .where('status', '=', 'ACTIVE')
    .groupBy('key_use')
    .execute()
  return rows.map(({ key_use, ends_at }) => ({ use: key_use, endsAt: ends_at }))
}

/** Where a signing key is in its life. */
export interface SigningKeyLife {
  kid: string
  use: TrustKey['use']
  alg: SignatureAlgorithm
  status: 'PUBLISHED' | 'ACTIVE' | 'RETIRED'
  publishedAt: number
  activatedAt: number | undefined
  retiredAt: number | undefined
}

/** One rotation at a time; the others wait and find the work done. Held until the transaction ends. */
export async function lockKeyRotation(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtext('qflare key rotation'))`.execute(tx)
}

/** Of every key there ever was, the oldest first. */
export async function listSigningKeyLives(tx: Tx): Promise<SigningKeyLife[]> {
  const rows = await tx
    .selectFrom('signing_key')
    .select(['kid', 'key_use', 'alg', 'status', 'published_at', 'activated_at', 'retired_at'])
    .orderBy('published_at')
    .orderBy('kid')
    .execute()
  return rows.map((row) => ({
    kid: row.kid,
    use: row.key_use,
    alg: row.alg,
    status: row.status,
    publishedAt: row.published_at,
    activatedAt: row.activated_at ?? undefined,
    retiredAt: row.retired_at ?? undefined,
  }))
}

/** Undefined for one that has none any more, or was never there. */
export async function findSealedSeed(tx: Tx, kid: string): Promise<Uint8Array | undefined> {
  const row = await tx.selectFrom('signing_key').select('sealed_seed').where('kid', '=', kid).executeTakeFirst()
  return row?.sealed_seed ?? undefined
}

/** False when it was not published, or is active already. What it follows has to be retired before. */
export async function activateSigningKey(tx: Tx, kid: string, activatedAt: number): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('signing_key')
    .set({ status: 'ACTIVE', activated_at: new Date(activatedAt) })
    .where('kid', '=', kid)
    .where('status', '=', 'PUBLISHED')
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** False when it did not sign. Its seed is gone from here on. */
export async function retireSigningKey(
  tx: Tx,
  kid: string,
  { retiredAt, notAfter }: { retiredAt: number; notAfter: number | undefined },
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('signing_key')
    .set({
      status: 'RETIRED',
      sealed_seed: null,
      retired_at: new Date(retiredAt),
      ...(notAfter === undefined ? {} : { not_after: new Date(notAfter) }),
    })
    .where('kid', '=', kid)
    .where('status', '=', 'ACTIVE')
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/**
 * Until this transaction ends no checkpoint is stored: when the newest one was signed, in milliseconds since the Unix epoch; 0 where
 * there is none.
 */
export async function holdCheckpoints(tx: Tx): Promise<number> {
  await sql`select pg_advisory_xact_lock(hashtext('qflare audit keys'))`.execute(tx)
  const row = await tx
    .selectFrom('audit_checkpoint')
    .select((eb) => eb.fn.max('signed_at').as('signed_at'))
    .executeTakeFirst()
  return row?.signed_at ?? 0
}
