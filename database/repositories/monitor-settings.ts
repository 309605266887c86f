import type { Tx } from '../open.ts'

/** JSON; undefined: as the service says. */
export async function findMonitorSettings(tx: Tx): Promise<string | undefined> {
  return (await tx.selectFrom('monitor_settings').select('body').executeTakeFirst())?.body
}

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
