import { sql } from 'kysely'
import type { Tx } from '../open.ts'

/** The end of incidents, for the job: what is found across tenants is ids, and each organization deletes its own rows. */

/** Incidents of any organization that were resolved before a time. */
export async function listOldIncidents(
  tx: Tx,
  resolvedBefore: number,
  limit: number,
): Promise<{ organizationId: string; id: string }[]> {
  const { rows } = await sql<{ organization_id: string; id: string }>`
    select organization_id, id from list_old_incidents(${new Date(resolvedBefore)}, ${limit})`.execute(tx)
  return rows.map(({ organization_id, id }) => ({ organizationId: organization_id, id }))
}

/** Of these the ones that were resolved before a time, with their evidence, devices and notices; how many there were. */
export async function deleteOldIncidents(tx: Tx, ids: readonly string[], resolvedBefore: number): Promise<number> {
  const rows = await tx
    .selectFrom('incident')
    .select('id')
    .where('id', '=', sql<string>`any (${ids}::uuid[])`)
    .where('status', '=', sql.lit('RESOLVED' as const))
    .where('resolved_at', '<', sql<number>`${new Date(resolvedBefore)}`)
    .forUpdate()
    .skipLocked()
    .execute()
  const found = sql<string>`any (${rows.map(({ id }) => id)}::uuid[])`
  for (const table of ['incident_notice', 'incident_event', 'incident_device'] as const) {
    await tx.deleteFrom(table).where('incident_id', '=', found).execute()
  }
  await tx.deleteFrom('incident').where('id', '=', found).execute()
  return rows.length
}

/** Organizations of which the monitor has counted something before a time that it has not looked at since. */
export async function listOrganizationsWithOldCounts(tx: Tx, countedBefore: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select id from list_old_counts(${new Date(countedBefore)}) as id`.execute(tx)
  return rows.map(({ id }) => id)
}
