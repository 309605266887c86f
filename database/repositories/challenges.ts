import { sql } from 'kysely'
import type { Tx } from '../open.ts'

export interface EnrollmentChallengeRow {
  id: string
  sealedChallenge: Uint8Array
  trustSequence: number
  expiresAt: number
  consumedAt: number | undefined
  completionHash: Uint8Array | undefined
  principalId: string | undefined
  /** What was asked of which attester, where a credential was made. */
  sealedActivation: Uint8Array | undefined
}

/** A new challenge takes the place of the token's last one. The token's row is locked by the caller. */
export async function replaceEnrollmentChallenge(
  tx: Tx,
  organizationId: string,
  challenge: { id: string; sealedChallenge: Uint8Array; trustSequence: number; expiresAt: number },
): Promise<void> {
  const fresh = {
    sealed_challenge: challenge.sealedChallenge,
    trust_sequence: challenge.trustSequence,
    expires_at: new Date(challenge.expiresAt),
    consumed_at: null,
    completion_hash: null,
    mismatched_at: null,
    credential_at: null,
    sealed_activation: null,
    principal_id: null,
  }
  const { numUpdatedRows } = await tx
    .updateTable('challenge')
    .set(fresh)
    .where('id', '=', challenge.id)
    .executeTakeFirst()
  if (numUpdatedRows > 0n) return
  await tx
    .insertInto('challenge')
    .values({ organization_id: organizationId, id: challenge.id, purpose: 'enroll', ...fresh })
    .execute()
}

export async function findEnrollmentChallenge(tx: Tx, id: string): Promise<EnrollmentChallengeRow | undefined> {
  const row = await tx.selectFrom('challenge').selectAll().where('id', '=', id).executeTakeFirst()
  if (row === undefined) return undefined
  return {
    id: row.id,
    sealedChallenge: row.sealed_challenge,
    trustSequence: row.trust_sequence,
    expiresAt: row.expires_at,
    consumedAt: row.consumed_at ?? undefined,
    completionHash: row.completion_hash ?? undefined,
    principalId: row.principal_id ?? undefined,
    sealedActivation: row.sealed_activation ?? undefined,
  }
}

/** True for the one caller that consumed it. */
export async function consumeChallenge(tx: Tx, id: string, completionHash: Uint8Array, now: number): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('challenge')
    .set({ consumed_at: new Date(now), completion_hash: completionHash })
    .where('id', '=', id)
    .where('consumed_at', 'is', null)
    .where(sql<boolean>`expires_at > ${new Date(now)}`)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** True for the one request for a credential that a challenge allows. */
export async function spendCredentialAttempt(tx: Tx, id: string, now: number): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('challenge')
    .set({ credential_at: new Date(now) })
    .where('id', '=', id)
    .where('consumed_at', 'is', null)
    .where('credential_at', 'is', null)
    .where(sql<boolean>`expires_at > ${new Date(now)}`)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

export async function keepActivation(tx: Tx, id: string, sealedActivation: Uint8Array): Promise<void> {
  await tx
    .updateTable('challenge')
    .set({ sealed_activation: sealedActivation })
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

/** True for the first completion that was not signed over this challenge. */
export async function markChallengeMismatched(tx: Tx, id: string, now: number): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('challenge')
    .set({ mismatched_at: new Date(now) })
    .where('id', '=', id)
    .where('mismatched_at', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

export async function nameChallengePrincipal(tx: Tx, id: string, principalId: string): Promise<void> {
  await tx.updateTable('challenge').set({ principal_id: principalId }).where('id', '=', id).executeTakeFirstOrThrow()
}
