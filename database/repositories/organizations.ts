import type { Tx } from '../open.ts'

export async function insertOrganization(tx: Tx, row: { id: string; name: string; createdAt: number }): Promise<void> {
  await tx
    .insertInto('organization')
    .values({ id: row.id, name: row.name, created_at: new Date(row.createdAt) })
    .execute()
}
