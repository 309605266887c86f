import type { Selectable } from 'kysely'
import type { PrincipalKind } from '../../protocol/enrollment.ts'
import type { Tx } from '../open.ts'
import type { Tables } from '../tables.ts'

export interface EnrollmentToken {
  id: string
  organizationId: string
  kind: PrincipalKind
  /** Fixed by the token, or free. */
  name: string | undefined
  policyId: string
  secretHash: Uint8Array
  createdAt: number
  expiresAt: number
  usedAt: number | undefined
  revokedAt: number | undefined
  principalId: string | undefined
}

export async function insertEnrollmentToken(
  tx: Tx,
  token: Omit<EnrollmentToken, 'usedAt' | 'revokedAt' | 'principalId'>,
): Promise<void> {
  await tx
    .insertInto('enrollment_token')
    .values({
      organization_id: token.organizationId,
      id: token.id,
      kind: token.kind,
      name: token.name ?? null,
      policy_id: token.policyId,
      secret_hash: token.secretHash,
      created_at: new Date(token.createdAt),
      expires_at: new Date(token.expiresAt),
    })
    .execute()
}

/** Locks the token's row, so that of parallel completions, starts and revocations one comes first. */
export async function lockEnrollmentToken(tx: Tx, id: string): Promise<EnrollmentToken | undefined> {
  const row = await tx.selectFrom('enrollment_token').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()
  return row && toEnrollmentToken(row)
}

/** Newest first, below `beforeId` where it is given. */
export async function listEnrollmentTokens(
  tx: Tx,
  page: { limit: number; beforeId: string | undefined },
): Promise<EnrollmentToken[]> {
  const rows = await tx
    .selectFrom('enrollment_token')
    .selectAll()
    .$if(page.beforeId !== undefined, (query) => query.where('id', '<', page.beforeId as string))
    .orderBy('id', 'desc')
    .limit(page.limit)
    .execute()
  return rows.map(toEnrollmentToken)
}

/** The row is locked by the caller, who checked that the token is open. */
export async function markEnrollmentTokenUsed(tx: Tx, id: string, principalId: string, usedAt: number): Promise<void> {
  await tx
    .updateTable('enrollment_token')
    .set({ used_at: new Date(usedAt), principal_id: principalId })
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

/** The row is locked by the caller, who checked that the token is not used. */
export async function markEnrollmentTokenRevoked(tx: Tx, id: string, revokedAt: number): Promise<void> {
  await tx
    .updateTable('enrollment_token')
    .set({ revoked_at: new Date(revokedAt) })
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

function toEnrollmentToken(row: Selectable<Tables['enrollment_token']>): EnrollmentToken {
  return {
    id: row.id,
    organizationId: row.organization_id,
    kind: row.kind,
    name: row.name ?? undefined,
    policyId: row.policy_id,
    secretHash: row.secret_hash,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    usedAt: row.used_at ?? undefined,
    revokedAt: row.revoked_at ?? undefined,
    principalId: row.principal_id ?? undefined,
  }
}
