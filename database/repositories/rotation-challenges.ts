import type { Tx } from '../open.ts'

/** Consuming, mismatches and results: device-challenges.ts. */
export interface RotationChallengeRow {
  id: string
  /** The key that is to be replaced. */
  oldKid: string
  sealedChallenge: Uint8Array
  expiresAt: number
  consumedAt: number | undefined
  completionHash: Uint8Array | undefined
  /** Of the rotation that was done under it. */
  attestationResultId: string | undefined
}

/** A new challenge takes the place of the device's last one. The principal's row is locked by the caller. */
export async function replaceRotationChallenge(
  tx: Tx,
  holder: { organizationId: string; principalId: string },
  challenge: Pick<RotationChallengeRow, 'id' | 'oldKid' | 'sealedChallenge' | 'expiresAt'>,
): Promise<void> {
  const fresh = {
    id: challenge.id,
    old_kid: challenge.oldKid,
    sealed_challenge: challenge.sealedChallenge,
    expires_at: new Date(challenge.expiresAt),
    consumed_at: null,
    completion_hash: null,
    mismatched_at: null,
    attestation_result_id: null,
  }
  const { numUpdatedRows } = await tx
    .updateTable('rotation_challenge')
    .set(fresh)
    .where('principal_id', '=', holder.principalId)
    .executeTakeFirst()
  if (numUpdatedRows > 0n) return
  await tx
    .insertInto('rotation_challenge')
    .values({ organization_id: holder.organizationId, principal_id: holder.principalId, ...fresh })
    .execute()
}

/** The newest of this device. */
export async function findRotationChallenge(tx: Tx, principalId: string): Promise<RotationChallengeRow | undefined> {
  const row = await tx
    .selectFrom('rotation_challenge')
    .selectAll()
    .where('principal_id', '=', principalId)
    .executeTakeFirst()
  if (row === undefined) return undefined
  return {
    id: row.id,
    oldKid: row.old_kid,
    sealedChallenge: row.sealed_challenge,
    expiresAt: row.expires_at,
    consumedAt: row.consumed_at ?? undefined,
    completionHash: row.completion_hash ?? undefined,
    attestationResultId: row.attestation_result_id ?? undefined,
  }
}
