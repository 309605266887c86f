import { sql } from 'kysely'
import type { Tx } from '../open.ts'

export interface Federation {
  id: string
  name: string
  /** As `getFederationTerms` takes it. */
  policy: string
  /** The API token or the coordinator that made it. */
  createdBy: string
  createdAt: number
}

/** `duplicate` when the organization has one of this name. */
export async function insertFederation(tx: Tx, row: Federation & { organizationId: string }): Promise<void> {
  await tx
    .insertInto('federation')
    .values({
      organization_id: row.organizationId,
      id: row.id,
      name: row.name,
      policy: row.policy,
      created_by: row.createdBy,
      created_at: new Date(row.createdAt),
    })
    .execute()
}

/** With whether a coordinator is assigned to it. */
export async function findFederation(
  tx: Tx,
  id: string,
  coordinatorId: string | undefined,
): Promise<(Federation & { isAssigned: boolean }) | undefined> {
  const row = await tx
    .selectFrom('federation as f')
    .select(['f.id', 'f.name', 'f.policy', 'f.created_by', 'f.created_at'])
    .select(
      sql<boolean>`exists (select from federation_coordinator c where c.organization_id = f.organization_id
        and c.federation_id = f.id and c.coordinator_id = ${coordinatorId ?? null})`.as('is_assigned'),
    )
    .where('f.id', '=', id)
    .executeTakeFirst()
  return row && { ...toFederation(row), isAssigned: row.is_assigned }
}

/** Newest first, below `beforeId` where it is given; of one maker or one assigned coordinator, or all. */
export async function listFederations(
  tx: Tx,
  page: { limit: number; beforeId: string | undefined; createdBy?: string; coordinatorId?: string },
): Promise<Federation[]> {
  const { beforeId, createdBy, coordinatorId } = page
  let query = tx.selectFrom('federation').select(['id', 'name', 'policy', 'created_by', 'created_at'])
  if (beforeId !== undefined) query = query.where('id', '<', beforeId)
  if (createdBy !== undefined) query = query.where('created_by', '=', createdBy)
  if (coordinatorId !== undefined) {
    query = query.where('id', 'in', (from) =>
      from.selectFrom('federation_coordinator').select('federation_id').where('coordinator_id', '=', coordinatorId),
    )
  }
  return (await query.orderBy('id', 'desc').limit(page.limit).execute()).map(toFederation)
}

function toFederation(row: {
  id: string
  name: string
  policy: string
  created_by: string
  created_at: number
}): Federation {
  return { id: row.id, name: row.name, policy: row.policy, createdBy: row.created_by, createdAt: row.created_at }
}
