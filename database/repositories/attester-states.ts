import { type Selectable, sql } from 'kysely'
import type { EvidenceFormatName } from '../../protocol/attestation/evidence-format.ts'
import type { Tx } from '../open.ts'
import type { Tables } from '../tables.ts'

/** What is known of the attester of a device, of one format. Its MAC is not checked yet. */
export interface AttesterStateRow {
  organizationId: string
  principalId: string
  format: EvidenceFormatName
  attesterId: string
  /** Canonical JSON. */
  state: string
  mac: Uint8Array
  macKeyVersion: number
}

type AttesterKey = Pick<AttesterStateRow, 'principalId' | 'format'>
type AttesterName = Pick<AttesterStateRow, 'format' | 'attesterId'>

export async function listAttesterStates(tx: Tx, principalId: string): Promise<AttesterStateRow[]> {
  const rows = await tx.selectFrom('attester_state').selectAll().where('principal_id', '=', principalId).execute()
  return rows.map(toAttesterState)
}

/** Of those that enrol the same attester in one organization at once, one comes first; what it stores, the next one sees. */
export async function lockAttester(tx: Tx, { format, attesterId }: AttesterName): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(
    concat_ws(' ', 'attester', current_organization(), ${format}::text, ${attesterId}::text), 0))`.execute(tx)
}

/** Whether it is that of a device that is not revoked. */
export async function isAttesterLive(tx: Tx, { format, attesterId }: AttesterName): Promise<boolean> {
  const row = await tx
    .selectFrom('attester_state')
    .select('principal_id')
    .where('format', '=', format)
    .where('attester_id', '=', attesterId)
    .where('released_at', 'is', null)
    .executeTakeFirst()
  return row !== undefined
}

export async function insertAttesterState(tx: Tx, row: AttesterStateRow, at: number): Promise<void> {
  await tx
    .insertInto('attester_state')
    .values({
      organization_id: row.organizationId,
      principal_id: row.principalId,
      format: row.format,
      attester_id: row.attesterId,
      state: row.state,
      mac: row.mac,
      mac_key_version: row.macKeyVersion,
      updated_at: new Date(at),
    })
    .execute()
}

/** Of the same attester. The principal's row is locked by the caller. */
export async function updateAttesterState(tx: Tx, row: AttesterStateRow, at: number): Promise<void> {
  await tx
    .updateTable('attester_state')
    .set({ state: row.state, mac: row.mac, mac_key_version: row.macKeyVersion, updated_at: new Date(at) })
    .where('principal_id', '=', row.principalId)
    .where('format', '=', row.format)
    .where('attester_id', '=', row.attesterId)
    .returning('format')
    .executeTakeFirstOrThrow()
}

/** Of all organizations, under an older key than this one. Those whose MAC is known to be wrong are left out. */
export async function listStaleAttesterMacs(
  tx: Tx,
  belowVersion: number,
  pageSize: number,
): Promise<(AttesterKey & { organizationId: string })[]> {
  const { rows } = await sql<{ organization_id: string; principal_id: string; format: EvidenceFormatName }>`
    select organization_id, principal_id, format from list_stale_attester_macs(${belowVersion}, ${pageSize})`.execute(
    tx,
  )
  return rows.map(({ organization_id, principal_id, format }) => ({
    organizationId: organization_id,
    principalId: principal_id,
    format,
  }))
}

/** Locked; undefined when somebody was faster and it is under the newer key, or known to be wrong. */
export async function lockStaleAttester(
  tx: Tx,
  belowVersion: number,
  { principalId, format }: AttesterKey,
): Promise<AttesterStateRow | undefined> {
  const row = await tx
    .selectFrom('attester_state')
    .selectAll()
    .where('principal_id', '=', principalId)
    .where('format', '=', format)
    .where('mac_key_version', '<', belowVersion)
    .where('mac_mismatched_at', 'is', null)
    .forUpdate()
    .executeTakeFirst()
  return row && toAttesterState(row)
}

export async function replaceAttesterMac(
  tx: Tx,
  { principalId, format }: AttesterKey,
  made: { mac: Uint8Array; macKeyVersion: number },
): Promise<void> {
  await tx
    .updateTable('attester_state')
    .set({ mac: made.mac, mac_key_version: made.macKeyVersion })
    .where('principal_id', '=', principalId)
    .where('format', '=', format)
    .execute()
}

export async function markAttesterMacMismatched(
  tx: Tx,
  { principalId, format }: AttesterKey,
  at: number,
): Promise<void> {
  await tx
    .updateTable('attester_state')
    .set({ mac_mismatched_at: new Date(at) })
    .where('principal_id', '=', principalId)
    .where('format', '=', format)
    .execute()
}

export function toAttesterState(row: Selectable<Tables['attester_state']>): AttesterStateRow {
  return {
    organizationId: row.organization_id,
    principalId: row.principal_id,
    format: row.format,
    attesterId: row.attester_id,
    state: row.state,
    mac: row.mac,
    macKeyVersion: row.mac_key_version,
  }
}
