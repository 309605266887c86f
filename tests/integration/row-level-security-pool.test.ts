import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Database, Statement } from '../../database/open.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { insertTenantRows, makeTenantRows, prepareTenantRows } from '../support/tenant-rows.ts'

let database: TestDatabase
/** Ten organizations with a device each, which the directory knows. */
const organizations: { organizationId: string; deviceId: string }[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  await prepareTenantRows(database.sql)
  for (let i = 0; i < 10; i++) {
    const organizationId = randomUUID()
    const rows = makeTenantRows(organizationId)
    const deviceId = String(rows.principal?.id)
    await insertTenantRows(database.sql, rows)
    await database.sql.query('insert into directory (id, organization_id) values ($1, $2)', [deviceId, organizationId])
    organizations.push({ organizationId, deviceId })
  }
})
afterAll(() => database.drop())

const everything = `select organization_id from principal union all select organization_id from session
  union all select organization_id from api_token union all select organization_id from evidence`
const seeEverything: Statement = { name: 'see_everything', text: everything, values: [] }
const failing: Statement = {
  name: 'failing',
  text: 'select 1 / (select count(*) from principal where false)',
  values: [],
}

async function seenBy(api: Database, way: number, who: (typeof organizations)[number]): Promise<unknown[]> {
  const { organizationId, deviceId } = who
  if (way === 0) return (await api.sendTransaction({ organizationId }, [seeEverything]))[1]?.rows ?? []
  if (way === 1) {
    const [found, result] = await api.sendTransaction({ organizationOf: deviceId }, [seeEverything])
    expect(found).toBe(organizationId)
    return result?.rows ?? []
  }
  return api.withOrganization(organizationId, async (tx) => (await sql.raw(everything).execute(tx)).rows)
}

test('1,000 interleaved requests of ten organizations over two connections see no foreign row, though some fail', async () => {
  const api = database.open('qflare_api', 2)
  let requests = 0
  const problems: unknown[] = []
  async function client(): Promise<void> {
    for (let i = requests++; i < 1000; i = requests++) {
      const who = organizations[(i * 7) % 10] as (typeof organizations)[number]
      const { organizationId } = who
      // every eleventh breaks off in the middle, which must not reach its neighbours
      if (i % 11 === 0) await api.sendTransaction({ organizationId }, [seeEverything, failing]).catch(() => {})
      if (i % 11 === 1) await api.withOrganization(organizationId, () => Promise.reject(new Error('x'))).catch(() => {})
      const rows = await seenBy(api, i % 3, who)
      const own = Array.from({ length: 4 }, () => ({ organization_id: organizationId }))
      if (JSON.stringify(rows) !== JSON.stringify(own)) problems.push({ i, organizationId, rows })
    }
  }
  await Promise.all(Array.from({ length: 40 }, client))
  expect(problems).toEqual([])
  expect(requests).toBeGreaterThan(1000)
  expect(api.connections().total).toBe(2)
})

test('a failure inside withOrganization leaves nothing for the next borrower of the connection', async () => {
  const api = database.open('qflare_api', 1)
  const [first, second] = organizations as [(typeof organizations)[number], (typeof organizations)[number]]
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
  const { rows } = await database.sql.query('select from principal where last_seen_at is not null')
  expect(rows).toEqual([])
  const { rows: left } = await database.sql.query(
    `select state from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`,
  )
  expect(left).toEqual([])
})
