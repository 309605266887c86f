import { sql } from 'kysely'
import type { Tx } from '../open.ts'

/** How long before its end a token is told of, and how long one must live for that: who makes a shorter one knows its end. */
const AHEAD = sql`interval '14 days'`
const SHORT_LIFE = sql`interval '28 days'`

/** Of all organizations, not told of yet; ids alone. */
export async function listEndingApiTokens(
  tx: Tx,
  now: number,
  limit: number,
): Promise<{ organizationId: string; id: string }[]> {
  const { rows } = await sql<{ organization_id: string; api_token_id: string }>`select organization_id, api_token_id
    from list_ending_api_tokens(${new Date(now)}, ${AHEAD}, ${SHORT_LIFE}, ${limit})`.execute(tx)
  return rows.map(({ organization_id, api_token_id }) => ({ organizationId: organization_id, id: api_token_id }))
}

/** Of all organizations, told of or not. */
export async function countEndingApiTokens(tx: Tx, now: number): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count_ending_api_tokens(${new Date(now)}, ${AHEAD}, ${SHORT_LIFE}) as count`.execute(tx)
  return rows[0]?.count ?? 0
}

/** Of these, those that this call marks: they can be used still, and were not told of before. */
export async function markApiTokenEndsTold(
  tx: Tx,
  ids: readonly string[],
  now: number,
): Promise<{ id: string; name: string; expiresAt: number }[]> {
  const rows = await tx
    .updateTable('api_token')
    .set({ end_told_at: new Date(now) })
    .where('id', 'in', ids)
    .where('end_told_at', 'is', null)
    .where('revoked_at', 'is', null)
    .where(sql<boolean>`expires_at > ${new Date(now)}`)
    .returning(['id', 'name', 'expires_at'])
    .execute()
  return rows.map(({ id, name, expires_at }) => ({ id, name, expiresAt: expires_at ?? now }))
}
