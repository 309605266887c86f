import type { Tx } from '../open.ts'

/** Of a session that goes on. Consuming, mismatches and results: device-challenges.ts. */
export interface AttestationChallengeRow {
  id: string
  principalId: string
  /** What the evidence has to be bound to. */
  sessionId: string
  sealedChallenge: Uint8Array
  expiresAt: number
  consumedAt: number | undefined
  completionHash: Uint8Array | undefined
  /** Of what was found, where the evidence could be read. */
  attestationResultId: string | undefined
}

/** A new challenge takes the place of the device's last one. The principal's row is locked by the caller. */
export async function replaceAttestationChallenge(
  tx: Tx,
  organizationId: string,
  challenge: Pick<AttestationChallengeRow, 'id' | 'principalId' | 'sessionId' | 'sealedChallenge' | 'expiresAt'>,
): Promise<void> {
  const fresh = {
    id: challenge.id,
    session_id: challenge.sessionId,
    sealed_challenge: challenge.sealedChallenge,
    expires_at: new Date(challenge.expiresAt),
    consumed_at: null,
    completion_hash: null,
    mismatched_at: null,
    attestation_result_id: null,
  }
  await tx
    .insertInto('attestation_challenge')
    .values({ organization_id: organizationId, principal_id: challenge.principalId, ...fresh })
    .onConflict((conflict) => conflict.columns(['organization_id', 'principal_id']).doUpdateSet(fresh))
    .execute()
}

/** The newest of this device. */
export async function findAttestationChallenge(
  tx: Tx,
  principalId: string,
): Promise<AttestationChallengeRow | undefined> {
  const row = await tx
    .selectFrom('attestation_challenge')
    .selectAll()
    .where('principal_id', '=', principalId)
    .executeTakeFirst()
  if (row === undefined) return undefined
  return {
    id: row.id,
    principalId,
    sessionId: row.session_id,
    sealedChallenge: row.sealed_challenge,
    expiresAt: row.expires_at,
    consumedAt: row.consumed_at ?? undefined,
    completionHash: row.completion_hash ?? undefined,
    attestationResultId: row.attestation_result_id ?? undefined,
  }
}
