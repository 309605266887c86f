import { type Selectable, sql } from 'kysely'
import type { TrustworthinessTier } from '../../protocol/attestation/ear.ts'
import type { Tx } from '../open.ts'
import type { Tables } from '../tables.ts'

export interface AttestationResult {
  id: string
  organizationId: string
  principalId: string
  kid: string
  /** That the evidence was bound to; undefined for an enrolment or a new identity key. */
  sessionId: string | undefined
  policyId: string
  tier: TrustworthinessTier
  /** By format of evidence: JSON. */
  findings: string
  ear: string
  appraisedAt: number
  expiresAt: number
}

/** What a verdict was made of, but for policy, trust anchors and reference values, which are found by its time. */
export interface StoredEvidence {
  /** Canonical JSON, exactly as it was signed. */
  body: string
  /** 32 bytes. */
  binding: Uint8Array
  /** What was known of the attesters before: JSON. */
  attesters: string
}

export async function insertAttestation(
  tx: Tx,
  result: AttestationResult,
  evidence: StoredEvidence & { id: string },
): Promise<void> {
  const { organizationId, principalId } = result
  await tx
    .with('stored', (cte) =>
      cte.insertInto('evidence').values({
        organization_id: organizationId,
        id: evidence.id,
        principal_id: principalId,
        body: evidence.body,
        received_at: new Date(result.appraisedAt),
        binding: evidence.binding,
        attesters: evidence.attesters,
      }),
    )
    .insertInto('attestation_result')
    .values({
      organization_id: organizationId,
      id: result.id,
      principal_id: principalId,
      evidence_id: evidence.id,
      kid: result.kid,
      session_id: result.sessionId ?? null,
      policy_id: result.policyId,
      tier: result.tier,
      findings: result.findings,
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

/** Of those that are kept beyond the retention, too. */
export async function findAttestation(tx: Tx, id: string): Promise<AttestationResult | undefined> {
  for (const table of ['attestation_result', 'kept_attestation_result'] as const) {
    const row = await tx.selectFrom(table).selectAll().where('id', '=', id).executeTakeFirst()
    if (row !== undefined) return toResult(row)
  }
  return undefined
}

export async function getAttestation(tx: Tx, id: string): Promise<AttestationResult> {
  return toResult(await tx.selectFrom('attestation_result').selectAll().where('id', '=', id).executeTakeFirstOrThrow())
}

/** Undefined for evidence of before this was kept, or that was removed by the retention. */
export async function findStoredEvidence(tx: Tx, attestationId: string): Promise<StoredEvidence | undefined> {
  const row = await tx
    .selectFrom('evidence as e')
    .innerJoin('attestation_result as r', (join) =>
      join.onRef('r.organization_id', '=', 'e.organization_id').onRef('r.evidence_id', '=', 'e.id'),
    )
    .select(['e.body', 'e.binding', 'e.attesters'])
    .where('r.id', '=', attestationId)
    .executeTakeFirst()
  if (row === undefined || row.binding === null || row.attesters === null) return undefined
  return { body: row.body, binding: row.binding, attesters: row.attesters }
}

/** Whose results somebody sees: of everybody, or of the members of federations that he made or is assigned to. */
export type AttestationScope = 'all' | { createdBy: string } | { coordinatorId: string }

/** Newest first, below `beforeId` where it is given; without those that are kept beyond the retention. */
export async function listAttestations(
  tx: Tx,
  page: {
    limit: number
    beforeId: string | undefined
    principalId: string | undefined
    tier: TrustworthinessTier | undefined
    scope: AttestationScope
  },
): Promise<AttestationResult[]> {
  const { beforeId, principalId, tier, scope } = page
  let query = tx.selectFrom('attestation_result').selectAll()
  if (beforeId !== undefined) query = query.where('id', '<', beforeId)
  if (principalId !== undefined) query = query.where('principal_id', '=', principalId)
  // A literal: the index of those that are bad is of no use for a parameter.
  if (tier !== undefined) query = query.where('tier', '=', sql.lit(tier))
  if (scope !== 'all') query = query.where(sql<boolean>`principal_id in (${membersSeenBy(scope)})`)
  return (await query.orderBy('id', 'desc').limit(page.limit).execute()).map(toResult)
}

export async function isSeenBy(tx: Tx, principalId: string, scope: AttestationScope): Promise<boolean> {
  if (scope === 'all') return true
  const { rows } = await sql<{ seen: boolean }>`
    select ${principalId}::uuid in (${membersSeenBy(scope)}) as seen`.execute(tx)
  return rows[0]?.seen === true
}

function membersSeenBy(scope: Exclude<AttestationScope, 'all'>) {
  const federations =
    'createdBy' in scope
      ? sql`select id from federation where created_by = ${scope.createdBy}`
      : sql`select federation_id from federation_coordinator where coordinator_id = ${scope.coordinatorId}`
  return sql<string>`select device_id from federation_member where federation_id in (${federations})`
}

function toResult(row: Selectable<Tables['attestation_result']>): AttestationResult {
  return {
    id: row.id,
    organizationId: row.organization_id,
    principalId: row.principal_id,
    kid: row.kid,
    sessionId: row.session_id ?? undefined,
    policyId: row.policy_id,
    tier: row.tier,
    findings: row.findings,
    ear: row.ear,
    appraisedAt: row.appraised_at,
    expiresAt: row.expires_at,
  }
}
