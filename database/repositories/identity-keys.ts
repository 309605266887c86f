import { sql } from 'kysely'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import type { Tx } from '../open.ts'

export interface IdentityKeyRow {
  organizationId: string
  principalId: string
  kid: string
  alg: SignatureAlgorithm
  publicKey: Uint8Array
  mac: Uint8Array
  macKeyVersion: number
}

/** `duplicate` when the organization has this key already. */
export async function insertIdentityKey(tx: Tx, key: IdentityKeyRow, createdAt: number): Promise<void> {
  await tx
    .insertInto('identity_key')
    .values({
      organization_id: key.organizationId,
      kid: key.kid,
      principal_id: key.principalId,
      alg: key.alg,
      public_key: key.publicKey,
      status: 'ACTIVE',
      mac: key.mac,
      mac_key_version: key.macKeyVersion,
      created_at: new Date(createdAt),
    })
    .execute()
}

/** True when the organization has a key of this kid, whatever became of it. */
export async function isIdentityKeyKnown(tx: Tx, kid: string): Promise<boolean> {
  return (await tx.selectFrom('identity_key').select('kid').where('kid', '=', kid).executeTakeFirst()) !== undefined
}

/** Whatever became of it. Its MAC is not checked yet. */
export async function getIdentityKey(tx: Tx, kid: string): Promise<IdentityKeyRow & { isActive: boolean }> {
  const row = await tx.selectFrom('identity_key').selectAll().where('kid', '=', kid).executeTakeFirstOrThrow()
  return {
    organizationId: row.organization_id,
    principalId: row.principal_id,
    kid: row.kid,
    alg: row.alg,
    publicKey: row.public_key,
    mac: row.mac,
    macKeyVersion: row.mac_key_version,
    isActive: row.status === 'ACTIVE',
  }
}

/**
 * ACTIVE → REPLACED by a key that is inserted next; results for it are over from now on, and the principal has no session. The
 * principal's row is locked by the caller, who ends the sessions.
 */
export async function replaceIdentityKey(
  tx: Tx,
  replaced: { principalId: string; kid: string; by: string },
  now: number,
): Promise<void> {
  const { principalId, kid } = replaced
  await tx
    .updateTable('identity_key')
    .set({ status: 'REPLACED', replaced_by: replaced.by })
    .where('kid', '=', kid)
    .where('principal_id', '=', principalId)
    .where('status', '=', 'ACTIVE')
    .returning('kid')
    .executeTakeFirstOrThrow()
  await tx
    .updateTable('principal')
    .set({
      active_session_id: null,
      pending_session_ids: [],
      next_attestation_at: null,
      key_generation: sql`key_generation + 1`,
    })
    .where('id', '=', principalId)
    .returning('id')
    .executeTakeFirstOrThrow()
  await tx
    .updateTable('attestation_result')
    .set({ expires_at: new Date(now) })
    .where('principal_id', '=', principalId)
    .where('kid', '=', kid)
    .where(sql<boolean>`expires_at > ${new Date(now)}`)
    .execute()
}

/** Of all organizations, the oldest first: keys in use that are not flagged yet. Needs the role of the worker. */
export async function listUnflaggedIdentityKeys(
  tx: Tx,
  madeBefore: number,
  limit: number,
): Promise<{ organizationId: string; kid: string }[]> {
  const { rows } = await sql<{ organization_id: string; kid: string }>`
    select organization_id, kid from list_unflagged_identity_keys(${new Date(madeBefore)}, ${limit})`.execute(tx)
  return rows.map(({ organization_id: organizationId, kid }) => ({ organizationId, kid }))
}

/** Of these keys, those that are flagged by this call: still in use, and not flagged before. */
export async function flagIdentityKeys(
  tx: Tx,
  kids: readonly string[],
  now: number,
): Promise<{ kid: string; principalId: string; alg: SignatureAlgorithm; createdAt: number }[]> {
  const rows = await tx
    .updateTable('identity_key')
    .set({ rotation_due_since: new Date(now) })
    .where('kid', 'in', kids)
    .where('status', '=', 'ACTIVE')
    .where('rotation_due_since', 'is', null)
    .returning(['kid', 'principal_id', 'alg', 'created_at'])
    .execute()
  return rows.map(({ kid, principal_id: principalId, alg, created_at: createdAt }) => ({
    kid,
    principalId,
    alg,
    createdAt,
  }))
}
