import { sql } from 'kysely'
import type { Tx } from '../open.ts'

/** Makes `id` findable before its organization is known. */
export async function insertDirectoryEntry(tx: Tx, id: string, organizationId: string): Promise<void> {
  await insertDirectoryEntries(tx, [id], organizationId)
}

export async function insertDirectoryEntries(tx: Tx, ids: readonly string[], organizationId: string): Promise<void> {
  await tx
    .insertInto('directory')
    .values(ids.map((id) => ({ id, organization_id: organizationId })))
    .execute()
}

export async function findOrganizationOf(tx: Tx, id: string): Promise<string | undefined> {
  const row = await tx.selectFrom('directory').select('organization_id').where('id', '=', id).executeTakeFirst()
  return row?.organization_id
}

/** By id; what is nobody's is not in it. */
export async function findOrganizationsOf(tx: Tx, ids: readonly string[]): Promise<Map<string, string>> {
  const rows = await tx
    .selectFrom('directory')
    .select(['id', 'organization_id'])
    .where('id', '=', sql<string>`any(${ids}::uuid[])`)
    .execute()
  return new Map(rows.map((row) => [row.id, row.organization_id]))
}

export async function isDirectoryEmpty(tx: Tx): Promise<boolean> {
  return (await tx.selectFrom('directory').select('id').limit(1).executeTakeFirst()) === undefined
}
