import { sql } from 'kysely'
import type { Tx } from '../open.ts'
import { type ReferenceValueRow, toReferenceValueRow } from './reference-values.ts'
import { type TrustAnchorRow, toTrustAnchorRow } from './trust-anchors.ts'

/** What trust anchors and reference values have in common. */
export interface InputName {
  input: 'trust_anchor' | 'reference_value'
  id: string
}

/** Of those that add to what an organization trusts and expects one comes first; what it adds, the next one sees. */
export async function lockAttestationInputs(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'attestation inputs', current_organization()), 0))`.execute(
    tx,
  )
}

/** Of all organizations, under an older key than this one. Those whose MAC is known to be wrong are left out. */
export async function listStaleInputMacs(
  tx: Tx,
  belowVersion: number,
  pageSize: number,
): Promise<(InputName & { organizationId: string })[]> {
  const { rows } = await sql<{ organization_id: string; input: InputName['input']; id: string }>`
    select organization_id, input, id from list_stale_input_macs(${belowVersion}, ${pageSize})`.execute(tx)
  return rows.map(({ organization_id: organizationId, input, id }) => ({ organizationId, input, id }))
}

/** Locked; undefined when somebody was faster and it is under the newer key, or known to be wrong. */
export async function lockStaleInput(
  tx: Tx,
  belowVersion: number,
  { input, id }: InputName,
): Promise<TrustAnchorRow | ReferenceValueRow | undefined> {
  const stale = sql<boolean>`id = ${id} and mac_key_version < ${belowVersion} and mac_mismatched_at is null`
  if (input === 'trust_anchor') {
    const row = await tx.selectFrom('trust_anchor').selectAll().where(stale).forUpdate().executeTakeFirst()
    return row && toTrustAnchorRow(row)
  }
  const row = await tx.selectFrom('reference_value').selectAll().where(stale).forUpdate().executeTakeFirst()
  return row && toReferenceValueRow(row)
}

export async function replaceInputMac(
  tx: Tx,
  { input, id }: InputName,
  { mac, macKeyVersion }: { mac: Uint8Array; macKeyVersion: number },
): Promise<void> {
  await tx.updateTable(input).set({ mac, mac_key_version: macKeyVersion }).where('id', '=', id).execute()
}

export async function markInputMacMismatched(tx: Tx, { input, id }: InputName, at: number): Promise<void> {
  await tx
    .updateTable(input)
    .set({ mac_mismatched_at: new Date(at) })
    .where('id', '=', id)
    .execute()
}
