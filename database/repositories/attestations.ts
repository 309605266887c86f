import type { Selectable } from 'kysely'
import type { Tx } from '../open.ts'
import type { Tables } from '../tables.ts'

export interface AttestationResult {
  id: string
  organizationId: string
  principalId: string
  kid: string
  policyId: string
  tier: 'none' | 'affirming' | 'warning' | 'contraindicated'
  ear: string
  appraisedAt: number
  expiresAt: number
}

/** `evidence` is canonical JSON, exactly as it was signed. */
export async function insertAttestation(
  tx: Tx,
  result: AttestationResult,
  evidence: { id: string; body: string },
): Promise<void> {
  await tx
    .insertInto('evidence')
    .values({
      organization_id: result.organizationId,
      id: evidence.id,
      principal_id: result.principalId,
      body: evidence.body,
      received_at: new Date(result.appraisedAt),
    })
    .execute()
  await tx
    .insertInto('attestation_result')
    .values({
      organization_id: result.organizationId,
      id: result.id,
      principal_id: result.principalId,
      evidence_id: evidence.id,
      kid: result.kid,
      policy_id: result.policyId,
      tier: result.tier,
      ear: result.ear,
      appraised_at: new Date(result.appraisedAt),
      expires_at: new Date(result.expiresAt),
    })
    .execute()
}

/** What its enrolment gave. */
export async function getFirstAttestation(tx: Tx, principalId: string): Promise<AttestationResult> {
  return toResult(
    await tx
      .selectFrom('attestation_result')
      .selectAll()
      .where('principal_id', '=', principalId)
      .orderBy('id')
      .limit(1)
      .executeTakeFirstOrThrow(),
  )
}

export async function getAttestation(tx: Tx, id: string): Promise<AttestationResult> {
  return toResult(await tx.selectFrom('attestation_result').selectAll().where('id', '=', id).executeTakeFirstOrThrow())
}

function toResult(row: Selectable<Tables['attestation_result']>): AttestationResult {
  return {
    id: row.id,
    organizationId: row.organization_id,
    principalId: row.principal_id,
    kid: row.kid,
    policyId: row.policy_id,
    tier: row.tier,
    ear: row.ear,
    appraisedAt: row.appraised_at,
    expiresAt: row.expires_at,
  }
}
