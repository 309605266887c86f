import type { Selectable } from 'kysely'
import type { Tx } from '../open.ts'
import type { Tables } from '../tables.ts'

/** Of a session that goes on. Giving one: reattestations.ts. Consuming, mismatches and results: device-challenges.ts. */
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
  return row && toAttestationChallenge(row)
}

export function toAttestationChallenge(row: Selectable<Tables['attestation_challenge']>): AttestationChallengeRow {
  return {
    id: row.id,
    principalId: row.principal_id,
    sessionId: row.session_id,
    sealedChallenge: row.sealed_challenge,
    expiresAt: row.expires_at,
    consumedAt: row.consumed_at ?? undefined,
    completionHash: row.completion_hash ?? undefined,
    attestationResultId: row.attestation_result_id ?? undefined,
  }
}
