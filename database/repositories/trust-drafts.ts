import { sql } from 'kysely'
import type { UnsignedTrustBundle, WireTrustBundle } from '../../protocol/trust.ts'
import type { Tx } from '../open.ts'

/** The next trust bundle, which waits for the root of trust. */
export interface TrustDraft {
  body: UnsignedTrustBundle
  signBefore: number | undefined
  /** Since when one waits, whatever was changed in it. */
  createdAt: number
}

export async function findTrustDraft(tx: Tx): Promise<TrustDraft | undefined> {
  const row = await tx.selectFrom('trust_bundle_draft').select(['body', 'sign_before', 'created_at']).executeTakeFirst()
  return row && { body: row.body, signBefore: row.sign_before ?? undefined, createdAt: row.created_at }
}

/** In the place of the one that waits. For whoever holds the rotation's lock. */
export async function putTrustDraft(
  tx: Tx,
  { body, signBefore }: Omit<TrustDraft, 'createdAt'>,
  createdAt: number,
): Promise<void> {
  const values = {
    sequence: body.sequence,
    body: JSON.stringify(body),
    sign_before: signBefore === undefined ? null : new Date(signBefore),
  }
  const { numUpdatedRows } = await tx.updateTable('trust_bundle_draft').set(values).executeTakeFirst()
  if (numUpdatedRows > 0n) return
  await tx
    .insertInto('trust_bundle_draft')
    .values({ ...values, created_at: new Date(createdAt), told_at: null })
    .execute()
}

/** The draft is the newest trust bundle from here on. False when there is none of this sequence. */
export async function storeSignedDraft(
  tx: Tx,
  { sequence, signatures }: Pick<WireTrustBundle, 'sequence' | 'signatures'>,
  storedAt: number,
): Promise<boolean> {
  const { rows } = await sql<{ stored: boolean }>`
    select store_signed_draft(${sequence}, ${JSON.stringify(signatures)}, ${new Date(storedAt)}) as stored`.execute(tx)
  return rows[0]?.stored ?? false
}

/** True once a day for all processes together, while a draft waits. */
export async function markDraftTold(tx: Tx, toldAt: number): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('trust_bundle_draft')
    .set({ told_at: new Date(toldAt) })
    .where(sql<boolean>`told_at is null or told_at <= ${new Date(toldAt - 86_400_000)}`)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}
