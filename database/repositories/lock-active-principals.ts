import { sql } from 'kysely'
import type { Tx } from '../open.ts'

/** Those of these that are ACTIVE. All of them are held as `lockPrincipal` holds one, in the order of their ids. */
export async function lockActivePrincipals(tx: Tx, ids: readonly string[]): Promise<string[]> {
  const rows = await tx
    .selectFrom('principal')
    .select(['id', 'status'])
    .where('id', '=', sql<string>`any (${ids}::uuid[])`)
    .orderBy('id')
    .forNoKeyUpdate()
    .execute()
  return rows.filter(({ status }) => status === 'ACTIVE').map(({ id }) => id)
}
