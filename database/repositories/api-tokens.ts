import type { Database, Statement, Tx } from '../open.ts'
import type { ApiRole } from '../tables.ts'

export interface ApiToken {
  id: string
  organizationId: string
  roles: ApiRole[]
  isServiceAdmin: boolean
  secretHash: Uint8Array
  expiresAt: number | undefined
  revokedAt: number | undefined
}

export async function insertApiToken(tx: Tx, token: ApiToken & { name: string; createdAt: number }): Promise<void> {
  await tx
    .insertInto('api_token')
    .values({
      organization_id: token.organizationId,
      id: token.id,
      name: token.name,
      roles: token.roles,
      service_admin: token.isServiceAdmin,
      secret_hash: token.secretHash,
      created_at: new Date(token.createdAt),
      expires_at: token.expiresAt === undefined ? null : new Date(token.expiresAt),
    })
    .execute()
}

/** By its id alone: the directory names the organization. */
export async function findApiToken(database: Database, id: string): Promise<ApiToken | undefined> {
  const [organizationId, found] = await database.sendTransaction({ organizationOf: id }, [selectApiToken(id)])
  const row = found?.rows[0] as ApiTokenRow | undefined
  if (row === undefined) return undefined
  return {
    id,
    organizationId,
    roles: row.roles,
    isServiceAdmin: row.service_admin,
    secretHash: row.secret_hash,
    expiresAt: row.expires_at ?? undefined,
    revokedAt: row.revoked_at ?? undefined,
  }
}

interface ApiTokenRow {
  roles: ApiRole[]
  service_admin: boolean
  secret_hash: Uint8Array
  expires_at: number | null
  revoked_at: number | null
}

function selectApiToken(id: string): Statement {
  return {
    name: 'select_api_token',
    text: 'select roles, service_admin, secret_hash, expires_at, revoked_at from api_token where id = $1',
    values: [id],
  }
}
