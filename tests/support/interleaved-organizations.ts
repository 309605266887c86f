import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Client } from 'pg'
import { expect } from 'vitest'
import type { Database, Statement } from '../../database/open.ts'
import { insertTenantRows, makeTenantRows, prepareTenantRows } from './tenant-rows.ts'

export interface Organization {
  organizationId: string
  deviceId: string
}

/** Ten organizations with a row in every table each, and a device that the directory knows. */
export async function makeOrganizations(superuser: Client): Promise<Organization[]> {
  await prepareTenantRows(superuser)
  const organizations: Organization[] = []
  for (let i = 0; i < 10; i++) {
    const organizationId = randomUUID()
    const rows = makeTenantRows(organizationId)
    const deviceId = String(rows.principal?.id)
    await insertTenantRows(superuser, rows)
    await superuser.query('insert into directory (id, organization_id) values ($1, $2)', [deviceId, organizationId])
    organizations.push({ organizationId, deviceId })
  }
  return organizations
}

/** Without a word of whose it is. */
export const everything = `select organization_id from principal union all select organization_id from session
  union all select organization_id from api_token union all select organization_id from evidence`
export const seeEverything: Statement = { name: 'see_everything', text: everything, values: [] }
const failing: Statement = {
  name: 'failing',
  text: 'select 1 / (select count(*) from principal where false)',
  values: [],
}

export async function seenBy(api: Database, way: number, who: Organization): Promise<unknown[]> {
  const { organizationId, deviceId } = who
  if (way === 0) return (await api.sendTransaction({ organizationId }, [seeEverything]))[1]?.rows ?? []
  if (way === 1) {
    const [found, result] = await api.sendTransaction({ organizationOf: deviceId }, [seeEverything])
    expect(found).toBe(organizationId)
    return result?.rows ?? []
  }
  return api.withOrganization(
    organizationId,
    async (tx) => (await sql.raw(everything).execute(tx)).rows,
    way === 2 ? 'unprepared' : 'prepared',
  )
}

/** A thousand requests by forty at once, of which some break off in the middle; returns what any of them saw but its own rows. */
export async function askInterleaved(api: Database, organizations: readonly Organization[]): Promise<unknown[]> {
  let requests = 0
  const problems: unknown[] = []
  async function client(): Promise<void> {
    for (let i = requests++; i < 1000; i = requests++) {
      const who = organizations[(i * 7) % 10] as Organization
      const { organizationId } = who
      // every eleventh breaks off in the middle, which must not reach its neighbours
      if (i % 11 === 0) await api.sendTransaction({ organizationId }, [seeEverything, failing]).catch(() => {})
      if (i % 11 === 1) await api.withOrganization(organizationId, () => Promise.reject(new Error('x'))).catch(() => {})
      const rows = await seenBy(api, i % 4, who)
      const own = Array.from({ length: 4 }, () => ({ organization_id: organizationId }))
      if (JSON.stringify(rows) !== JSON.stringify(own)) problems.push({ i, organizationId, rows })
    }
  }
  await Promise.all(Array.from({ length: 40 }, client))
  expect(requests).toBeGreaterThan(1000)
  return problems
}

/** Every way in which a transaction fails, each followed by what the next one on the connection sees and finds changed. */
export async function failAndLookAgain(
  api: Database,
  organizations: readonly Organization[],
  superuser: Client,
): Promise<void> {
  const [first, second] = organizations as [Organization, Organization]
  const failures = [
    () => Promise.reject(new Error('of the caller')),
    (tx: Parameters<Parameters<Database['withOrganization']>[1]>[0]) => sql`select 1 / 0`.execute(tx),
  ]
  for (const failure of failures) {
    const failed = api.withOrganization(first.organizationId, async (tx) => {
      await tx
        .updateTable('principal')
        .set({ last_seen_at: new Date(0) })
        .execute()
      return failure(tx)
    })
    await expect(failed).rejects.toThrow(/of the caller|division by zero/)
    const [organization, nothing] = await api.sendTransaction({ organizationOf: randomUUID() }, [seeEverything])
    expect([organization, nothing?.rows]).toEqual(['', []])
    expect(await api.withoutOrganization(async (tx) => (await sql.raw(everything).execute(tx)).rows)).toEqual([])
    expect(await seenBy(api, 2, second)).toHaveLength(4)
    expect(await seenBy(api, 2, second)).toEqual(await seenBy(api, 0, second))
  }
  const { rows } = await superuser.query('select from principal where last_seen_at is not null')
  expect(rows).toEqual([])
  const { rows: left } = await superuser.query(
    `select state from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`,
  )
  expect(left).toEqual([])
}
