import { sql } from 'kysely'
import type { PolicyVersion } from '../../protocol/attestation/policy-id.ts'
import type { Tx } from '../open.ts'

/** One version of a policy as it is stored. Its MAC is not checked yet. */
export interface AppraisalPolicyRow extends PolicyVersion {
  organizationId: string
  /** Canonical JSON. */
  body: string
  mac: Uint8Array
  macKeyVersion: number
  createdAt: number
}

/** Of those that add a version to one policy of an organization one comes first; what it adds, the next one sees. */
export async function lockPolicyName(tx: Tx, name: string): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'appraisal policy', current_organization(), ${name}::text), 0))`.execute(
    tx,
  )
}

/** `duplicate` when there is this version already. */
export async function insertAppraisalPolicy(tx: Tx, row: AppraisalPolicyRow): Promise<void> {
  await tx
    .insertInto('appraisal_policy')
    .values({
      organization_id: row.organizationId,
      name: row.name,
      version: row.version,
      body: row.body,
      mac: row.mac,
      mac_key_version: row.macKeyVersion,
      created_at: new Date(row.createdAt),
    })
    .execute()
}

/** Without `version` the newest. */
export async function findAppraisalPolicy(
  tx: Tx,
  { name, version }: { name: string; version: number | undefined },
): Promise<AppraisalPolicyRow | undefined> {
  let query = tx.selectFrom('appraisal_policy').selectAll().where('name', '=', name)
  if (version !== undefined) query = query.where('version', '=', version)
  const row = await query.orderBy('version', 'desc').limit(1).executeTakeFirst()
  return row && toAppraisalPolicy(row)
}

/** Of each name the newest version, in the order of the names, behind `afterName` where it is given. */
export async function listAppraisalPolicies(
  tx: Tx,
  page: { limit: number; afterName: string | undefined },
): Promise<AppraisalPolicyRow[]> {
  let query = tx.selectFrom('appraisal_policy').distinctOn('name').selectAll()
  if (page.afterName !== undefined) query = query.where('name', '>', page.afterName)
  return (await query.orderBy('name').orderBy('version', 'desc').limit(page.limit).execute()).map(toAppraisalPolicy)
}

/** Of all organizations, under an older key than this one. Those whose MAC is known to be wrong are left out. */
export async function listStalePolicyMacs(
  tx: Tx,
  belowVersion: number,
  pageSize: number,
): Promise<(PolicyVersion & { organizationId: string })[]> {
  const { rows } = await sql<{ organization_id: string; name: string; version: number }>`
    select organization_id, name, version from list_stale_policy_macs(${belowVersion}, ${pageSize})`.execute(tx)
  return rows.map(({ organization_id: organizationId, name, version }) => ({ organizationId, name, version }))
}

/** Locked; undefined when somebody was faster and it is under the newer key, or known to be wrong. */
export async function lockStalePolicy(
  tx: Tx,
  belowVersion: number,
  { name, version }: PolicyVersion,
): Promise<AppraisalPolicyRow | undefined> {
  const row = await tx
    .selectFrom('appraisal_policy')
    .selectAll()
    .where('name', '=', name)
    .where('version', '=', version)
    .where('mac_key_version', '<', belowVersion)
    .where('mac_mismatched_at', 'is', null)
    .forUpdate()
    .executeTakeFirst()
  return row && toAppraisalPolicy(row)
}

export async function replacePolicyMac(
  tx: Tx,
  { name, version }: PolicyVersion,
  made: { mac: Uint8Array; macKeyVersion: number },
): Promise<void> {
  await tx
    .updateTable('appraisal_policy')
    .set({ mac: made.mac, mac_key_version: made.macKeyVersion })
    .where('name', '=', name)
    .where('version', '=', version)
    .execute()
}

export async function markPolicyMacMismatched(tx: Tx, { name, version }: PolicyVersion, at: number): Promise<void> {
  await tx
    .updateTable('appraisal_policy')
    .set({ mac_mismatched_at: new Date(at) })
    .where('name', '=', name)
    .where('version', '=', version)
    .execute()
}

export function toAppraisalPolicy(row: {
  organization_id: string
  name: string
  version: number
  body: string
  mac: Uint8Array
  mac_key_version: number
  created_at: number
}): AppraisalPolicyRow {
  return {
    organizationId: row.organization_id,
    name: row.name,
    version: row.version,
    body: row.body,
    mac: row.mac,
    macKeyVersion: row.mac_key_version,
    createdAt: row.created_at,
  }
}
