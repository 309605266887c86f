import { sql } from 'kysely'
import type { Tx } from '../open.ts'

export interface Organization {
  id: string
  name: string
  createdAt: number
}

/** As the organization itself. `duplicate` when another has this name. */
export async function insertOrganization(tx: Tx, row: Organization): Promise<void> {
  await tx
    .insertInto('organization')
    .values({ id: row.id, name: row.name, created_at: new Date(row.createdAt) })
    .execute()
}

/**
 * From here on the transaction is this organization and sees nothing more of the one before: what is made for a new tenant is
 * stored together with what was checked of its maker, or not at all.
 */
export async function enterOrganization(tx: Tx, id: string): Promise<void> {
  await sql`select set_config('qflare.organization_id', ${id}, true)`.execute(tx)
}

/** As the organization itself. */
export async function findOrganization(tx: Tx, id: string): Promise<Organization | undefined> {
  const row = await tx.selectFrom('organization').selectAll().where('id', '=', id).executeTakeFirst()
  return row && toOrganization(row)
}

/** By its name, whoever the transaction is: its id and nothing else. */
export async function findOrganizationId(tx: Tx, name: string): Promise<string | undefined> {
  const { rows } = await sql<{ id: string | null }>`select find_organization(${name}) as id`.execute(tx)
  return rows[0]?.id ?? undefined
}

/** Of all tenants, whoever the transaction is; newest first, below `beforeId` where it is given. */
export async function listOrganizations(
  tx: Tx,
  page: { limit: number; beforeId: string | undefined },
): Promise<Organization[]> {
  const { rows } = await sql<{ id: string; name: string; created_at: number }>`
    select * from list_organizations(${page.beforeId ?? null}, ${page.limit})`.execute(tx)
  return rows.map(toOrganization)
}

function toOrganization(row: { id: string; name: string; created_at: number }): Organization {
  return { id: row.id, name: row.name, createdAt: row.created_at }
}
