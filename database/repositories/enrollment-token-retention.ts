import { sql } from 'kysely'
import type { Tx } from '../open.ts'

/** The end of enrolment tokens that nobody used, for the job: what is found across tenants is ids. */

/** Tokens of any organization that expired or were revoked before a time, and were not used. */
export async function listUnusedTokens(
  tx: Tx,
  endedBefore: number,
  limit: number,
): Promise<{ organizationId: string; id: string }[]> {
  const { rows } = await sql<{ organization_id: string; id: string }>`
    select organization_id, id from list_unused_tokens(${new Date(endedBefore)}, ${limit})`.execute(tx)
  return rows.map(({ organization_id, id }) => ({ organizationId: organization_id, id }))
}

/** Of these the ones that ended before a time and were not used, with their challenges and entries of the directory; how many. */
export async function deleteUnusedTokens(tx: Tx, ids: readonly string[], endedBefore: number): Promise<number> {
  const ended = sql<boolean>`used_at is null and least(expires_at, revoked_at) < ${new Date(endedBefore)}`
  const old = tx
    .selectFrom('enrollment_token')
    .select('id')
    .where('id', '=', sql<string>`any (${ids}::uuid[])`)
    .where(ended)
  await tx.deleteFrom('challenge').where('id', 'in', old).execute()
  const rows = await tx.deleteFrom('enrollment_token').where('id', 'in', old).returning('id').execute()
  await sql`select forget_directory_entries(${rows.map(({ id }) => id)}::uuid[])`.execute(tx)
  return rows.length
}
