import type { PrincipalKind } from '../../protocol/enrollment.ts'
import type { Tx } from '../open.ts'

/** The devices of a federation, and the coordinators that are assigned to it. */
export interface Belonging {
  organizationId: string
  federationId: string
  principalId: string
}

/** Of any status; undefined when the organization has none of this id. */
export async function findPrincipalKind(tx: Tx, id: string): Promise<PrincipalKind | undefined> {
  const row = await tx.selectFrom('principal').select('kind').where('id', '=', id).executeTakeFirst()
  return row?.kind
}

/** Whether it may take part, which nobody changes until the commit. */
export async function isActiveUntilCommit(tx: Tx, id: string): Promise<boolean> {
  const row = await tx.selectFrom('principal').select('status').where('id', '=', id).forShare().executeTakeFirst()
  return row?.status === 'ACTIVE'
}

/** False when it was one before. */
export async function insertMember(tx: Tx, member: Belonging, addedAt: number): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('federation_member')
    .values({ ...toKey(member), device_id: member.principalId, added_at: new Date(addedAt) })
    .onConflict((conflict) => conflict.columns(['organization_id', 'federation_id', 'device_id']).doNothing())
    .executeTakeFirst()
  return numInsertedOrUpdatedRows === 1n
}

/** False when it was none. */
export async function deleteMember(tx: Tx, { federationId, principalId }: Belonging): Promise<boolean> {
  const { numDeletedRows } = await tx
    .deleteFrom('federation_member')
    .where('federation_id', '=', federationId)
    .where('device_id', '=', principalId)
    .executeTakeFirst()
  return numDeletedRows === 1n
}

export async function isMember(tx: Tx, federationId: string, deviceId: string): Promise<boolean> {
  const row = await tx
    .selectFrom('federation_member')
    .select('device_id')
    .where('federation_id', '=', federationId)
    .where('device_id', '=', deviceId)
    .executeTakeFirst()
  return row !== undefined
}

/** By their ids, above `afterId` where it is given. */
export async function listMembers(
  tx: Tx,
  federationId: string,
  page: { limit: number; afterId: string | undefined },
): Promise<{ deviceId: string; addedAt: number }[]> {
  let query = tx.selectFrom('federation_member').select(['device_id', 'added_at'])
  query = query.where('federation_id', '=', federationId)
  if (page.afterId !== undefined) query = query.where('device_id', '>', page.afterId)
  const rows = await query.orderBy('device_id').limit(page.limit).execute()
  return rows.map((row) => ({ deviceId: row.device_id, addedAt: row.added_at }))
}

/** False when it was assigned before. */
export async function insertCoordinator(tx: Tx, coordinator: Belonging, addedAt: number): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('federation_coordinator')
    .values({ ...toKey(coordinator), coordinator_id: coordinator.principalId, added_at: new Date(addedAt) })
    .onConflict((conflict) => conflict.columns(['organization_id', 'federation_id', 'coordinator_id']).doNothing())
    .executeTakeFirst()
  return numInsertedOrUpdatedRows === 1n
}

/** False when it was not assigned. */
export async function deleteCoordinator(tx: Tx, { federationId, principalId }: Belonging): Promise<boolean> {
  const { numDeletedRows } = await tx
    .deleteFrom('federation_coordinator')
    .where('federation_id', '=', federationId)
    .where('coordinator_id', '=', principalId)
    .executeTakeFirst()
  return numDeletedRows === 1n
}

function toKey({ organizationId, federationId }: Belonging) {
  return { organization_id: organizationId, federation_id: federationId }
}
