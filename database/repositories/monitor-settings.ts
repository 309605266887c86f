import { sql } from 'kysely'
import type { Tx } from '../open.ts'

export interface StoredMonitorSettings {
  /** JSON, checked by nobody. */
  body: string
  changedAt: number
}

/** Undefined: as the service says. */
export async function findMonitorSettings(tx: Tx): Promise<StoredMonitorSettings | undefined> {
  const row = await tx.selectFrom('monitor_settings').select(['body', 'changed_at']).executeTakeFirst()
  return row && { body: row.body, changedAt: row.changed_at }
}

/** Of those that change the settings of an organization one comes first; what it did, the next one sees. */
export async function lockMonitorSettings(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'monitor settings', current_organization()), 0))`.execute(
    tx,
  )
}

/** The caller holds `lockMonitorSettings`. */
export async function storeMonitorSettings(
  tx: Tx,
  settings: { organizationId: string; body: string },
  changedAt: number,
): Promise<void> {
  const values = { body: settings.body, changed_at: new Date(changedAt) }
  await tx
    .insertInto('monitor_settings')
    .values({ organization_id: settings.organizationId, ...values })
    .onConflict((conflict) => conflict.column('organization_id').doUpdateSet(values))
    .execute()
}
