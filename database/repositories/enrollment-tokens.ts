import { type RawBuilder, type Selectable, type SqlBool, sql } from 'kysely'
import type { PrincipalKind } from '../../protocol/enrollment.ts'
import type { Tx } from '../open.ts'
import type { Tables } from '../tables.ts'

export interface EnrollmentToken {
  id: string
  organizationId: string
  kind: PrincipalKind
  /** Fixed by the token, or free. */
  name: string | undefined
  /** What the device is from its enrolment on. */
  type: string | undefined
  capabilities: string[]
  policyId: string
  secretHash: Uint8Array
  createdAt: number
  expiresAt: number
  usedAt: number | undefined
  revokedAt: number | undefined
  principalId: string | undefined
}

export type EnrollmentTokenStatus = 'open' | 'used' | 'revoked' | 'expired'

export async function insertEnrollmentTokens(
  tx: Tx,
  tokens: readonly Omit<EnrollmentToken, 'usedAt' | 'revokedAt' | 'principalId'>[],
): Promise<void> {
  const rows = tokens.map((token) => ({
    organization_id: token.organizationId,
    id: token.id,
    kind: token.kind,
    name: token.name ?? null,
    type: token.type ?? null,
    capabilities: token.capabilities,
    policy_id: token.policyId,
    secret_hash: token.secretHash,
    created_at: new Date(token.createdAt),
    expires_at: new Date(token.expiresAt),
  }))
  await tx.insertInto('enrollment_token').values(rows).execute()
}

export async function findEnrollmentToken(tx: Tx, id: string): Promise<EnrollmentToken | undefined> {
  const row = await tx.selectFrom('enrollment_token').selectAll().where('id', '=', id).executeTakeFirst()
  return row && toEnrollmentToken(row)
}

/** Locks the token's row, so that of parallel completions, starts and revocations one comes first. */
export async function lockEnrollmentToken(tx: Tx, id: string): Promise<EnrollmentToken | undefined> {
  const row = await tx.selectFrom('enrollment_token').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()
  return row && toEnrollmentToken(row)
}

/** Newest first, below `beforeId` where it is given; those of one status at `now`, or all. */
export async function listEnrollmentTokens(
  tx: Tx,
  page: { limit: number; beforeId: string | undefined; status: EnrollmentTokenStatus | undefined },
  now: number,
): Promise<EnrollmentToken[]> {
  const rows = await tx
    .selectFrom('enrollment_token')
    .selectAll()
    .$if(page.beforeId !== undefined, (query) => query.where('id', '<', page.beforeId as string))
    .$if(page.status !== undefined, (query) =>
      query.where(hasStatus(page.status as EnrollmentTokenStatus, new Date(now))),
    )
    .orderBy('id', 'desc')
    .limit(page.limit)
    .execute()
  return rows.map(toEnrollmentToken)
}

function hasStatus(status: EnrollmentTokenStatus, now: Date): RawBuilder<SqlBool> {
  const conditions: Record<EnrollmentTokenStatus, RawBuilder<SqlBool>> = {
    used: sql`used_at is not null`,
    revoked: sql`revoked_at is not null`,
    expired: sql`used_at is null and revoked_at is null and expires_at <= ${now}`,
    open: sql`used_at is null and revoked_at is null and expires_at > ${now}`,
  }
  return conditions[status]
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
    type: row.type ?? undefined,
    capabilities: row.capabilities,
    policyId: row.policy_id,
    secretHash: row.secret_hash,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    usedAt: row.used_at ?? undefined,
    revokedAt: row.revoked_at ?? undefined,
    principalId: row.principal_id ?? undefined,
  }
}
