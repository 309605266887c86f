import { type RawBuilder, type Selectable, sql } from 'kysely'
import type { Database, Statement, Tx } from '../open.ts'
import type { Tables } from '../tables.ts'

export interface ApiToken {
  id: string
  organizationId: string
  name: string
  roles: Tables['api_token']['roles']
  /** It may administer the service itself: make organizations. */
  isServiceAdmin: boolean
  secretHash: Uint8Array
  createdAt: number
  expiresAt: number | undefined
  revokedAt: number | undefined
}

/** What a request is authenticated with. */
export type ApiCredential = Omit<ApiToken, 'name' | 'createdAt'>

/** The API's own login may not store one that administers the service. */
export async function insertApiToken(tx: Tx, token: ApiToken): Promise<void> {
  await tx
    .insertInto('api_token')
    .values({
      organization_id: token.organizationId,
      id: token.id,
      name: token.name,
      roles: token.roles,
      secret_hash: token.secretHash,
      created_at: new Date(token.createdAt),
      expires_at: token.expiresAt === undefined ? null : new Date(token.expiresAt),
      // Left to its default otherwise: naming the column is a right that the API does not have.
      ...(token.isServiceAdmin ? { service_admin: true } : {}),
    })
    .execute()
}

/** By its id alone: the directory names the organization. */
export async function findApiToken(database: Database, id: string): Promise<ApiCredential | undefined> {
  const [organizationId, found] = await database.sendTransaction({ organizationOf: id }, [selectApiToken(id)])
  const row = found?.rows[0] as CredentialRow | undefined
  return row && { id, organizationId, ...toCredential(row) }
}

/**
 * Uses of the API tokens of the transaction's organization: many at once, and none beside a revocation. Until the transaction
 * ends. Not a lock of the token's row: those who share one pass by whoever waits to change the row, so that the holder of a
 * token could put off its revocation by using it without a break. This lock lets nobody in before who waits longer.
 */
export async function shareApiTokens(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock_shared(${apiTokensKey})`.execute(tx)
}

/** Revocations, one at a time: every use of before has ended, and every use of after waits. Not by who shares it already. */
export async function lockApiTokens(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${apiTokensKey})`.execute(tx)
}

const apiTokensKey: RawBuilder<number> = sql`hashtextextended('qflare api tokens ' || current_organization(), 0)`

/** What may have changed of a token since it was authenticated. */
export async function findApiTokenEnd(
  tx: Tx,
  id: string,
): Promise<Pick<ApiToken, 'expiresAt' | 'revokedAt'> | undefined> {
  const row = await tx
    .selectFrom('api_token')
    .select(['expires_at', 'revoked_at'])
    .where('id', '=', id)
    .executeTakeFirst()
  return row && { expiresAt: row.expires_at ?? undefined, revokedAt: row.revoked_at ?? undefined }
}

/** Newest first, below `beforeId` where it is given. */
export async function listApiTokens(
  tx: Tx,
  page: { limit: number; beforeId: string | undefined },
): Promise<ApiToken[]> {
  const rows = await tx
    .selectFrom('api_token')
    .selectAll()
    .$if(page.beforeId !== undefined, (query) => query.where('id', '<', page.beforeId as string))
    .orderBy('id', 'desc')
    .limit(page.limit)
    .execute()
  return rows.map(toApiToken)
}

/** In the organization of the transaction. */
export async function findApiTokenById(tx: Tx, id: string): Promise<ApiToken | undefined> {
  const row = await tx.selectFrom('api_token').selectAll().where('id', '=', id).executeTakeFirst()
  return row && toApiToken(row)
}

/** The caller holds `lockApiTokens`. */
export async function markApiTokenRevoked(tx: Tx, id: string, revokedAt: number): Promise<void> {
  await tx
    .updateTable('api_token')
    .set({ revoked_at: new Date(revokedAt) })
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

/** Every token of the organization but one, that is not revoked yet; their ids. Nobody uses one of them beside it. */
export async function revokeOtherApiTokens(tx: Tx, keptId: string, revokedAt: number): Promise<string[]> {
  await lockApiTokens(tx)
  const rows = await tx
    .updateTable('api_token')
    .set({ revoked_at: new Date(revokedAt) })
    .where('id', '<>', keptId)
    .where('revoked_at', 'is', null)
    .returning('id')
    .execute()
  return rows.map(({ id }) => id)
}

type CredentialRow = Pick<
  Selectable<Tables['api_token']>,
  'roles' | 'service_admin' | 'secret_hash' | 'expires_at' | 'revoked_at'
>

function selectApiToken(id: string): Statement {
  return {
    name: 'select_api_token',
    text: 'select roles, service_admin, secret_hash, expires_at, revoked_at from api_token where id = $1',
    values: [id],
  }
}

function toCredential(row: CredentialRow) {
  return {
    roles: row.roles,
    isServiceAdmin: row.service_admin,
    secretHash: row.secret_hash,
    expiresAt: row.expires_at ?? undefined,
    revokedAt: row.revoked_at ?? undefined,
  }
}

function toApiToken(row: Selectable<Tables['api_token']>): ApiToken {
  const { id, organization_id: organizationId, name, created_at: createdAt } = row
  return { id, organizationId, name, createdAt, ...toCredential(row) }
}
