import { sql } from 'kysely'
import type { Tx } from '../open.ts'

/** Of an identity rotation, or of an attestation: what becomes of either in the same way. */
export type DeviceChallengeTable = 'rotation_challenge' | 'attestation_challenge'

/** True for the one caller that consumed it. */
export async function consumeDeviceChallenge(
  tx: Tx,
  table: DeviceChallengeTable,
  id: string,
  completionHash: Uint8Array,
  now: number,
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable(table)
    .set({ consumed_at: new Date(now), completion_hash: completionHash })
    .where('id', '=', id)
    .where('consumed_at', 'is', null)
    .where(sql<boolean>`expires_at > ${new Date(now)}`)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** True for the first answer that was not signed by the key that it had to be. */
export async function markDeviceChallengeMismatched(
  tx: Tx,
  table: DeviceChallengeTable,
  id: string,
  now: number,
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable(table)
    .set({ mismatched_at: new Date(now) })
    .where('id', '=', id)
    .where('mismatched_at', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

export async function nameChallengeResult(
  tx: Tx,
  table: DeviceChallengeTable,
  id: string,
  attestationResultId: string,
): Promise<void> {
  await tx
    .updateTable(table)
    .set({ attestation_result_id: attestationResultId })
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}
