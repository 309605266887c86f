import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { makeTenants, type Tenants } from '../support/row-level-security.ts'
import { prepareTenantRows } from '../support/tenant-rows.ts'

/** What crosses the tenants for the jobs of a worker: ids and numbers. */

let database: TestDatabase
let sql: TestDatabase['sql']
let tenants: Tenants

beforeAll(async () => {
  database = await createTestDatabase()
  sql = database.sql
  await prepareTenantRows(sql)
  tenants = await makeTenants(sql)
})
afterAll(() => database.drop())
beforeEach(() => sql.query('begin'))
afterEach(() => sql.query('rollback'))

test('lets a worker count the sessions of all organizations, and see none of them', async () => {
  await sql.query('set local role qflare_worker')
  const { rows } = await sql.query('select bucket::int, last_epoch::int, sessions::int from count_open_sessions()')
  expect(rows).toEqual([{ bucket: 7, last_epoch: 7, sessions: 2 }])
  expect((await sql.query('select id from session')).rows).toEqual([])
  await expect(sql.query('select chains from session')).rejects.toMatchObject({ code: '42501' })
})

test('tells a worker of ended sessions ids and nothing else, and lets it end those of its organization only', async () => {
  await sql.query('set local role qflare_worker')
  expect((await sql.query('select list_open_buckets()::int as bucket')).rows).toEqual([{ bucket: 7 }])
  const listed = await sql.query<{ organization_id: string }>(
    `select * from list_ended_sessions(7, 'infinity', 'infinity', 'infinity', 10)`,
  )
  expect(listed.fields.map(({ name }) => name)).toEqual(['organization_id', 'id'])
  expect(listed.rows.map((row) => row.organization_id).toSorted()).toEqual([tenants.a, tenants.b].toSorted())
  await sql.query(`select set_config('qflare.organization_id', $1, true)`, [tenants.a])
  const ended = await sql.query<{ organization_id: string }>(
    `update session set state = 'TIMED_OUT', chains = null, confirmation_hash = null, ended_at = now()
      returning organization_id`,
  )
  expect(ended.rows).toEqual([{ organization_id: tenants.a }])
})

test('tells a worker of notices that are due ids and nothing else, and nobody else of them', async () => {
  const call = `select * from list_due_incident_notices('infinity', 10)`
  await sql.query('set local role qflare_worker')
  const listed = await sql.query<{ organization_id: string }>(call)
  expect(listed.fields.map(({ name }) => name)).toEqual(['organization_id', 'id'])
  expect(listed.rows.map((row) => row.organization_id).toSorted()).toEqual([tenants.a, tenants.b].toSorted())
  expect((await sql.query('select from incident_notice')).rowCount).toBe(0)
  for (const [role, statement] of [
    ['qflare_jobs', 'select body from incident_notice'],
    ['qflare_api', call],
    ['qflare_api', 'select from incident_notice'],
    ['qflare_auditor', 'select from incident_notice'],
  ]) {
    await sql.query(`savepoint before`)
    await sql.query(`set local role ${role}`)
    await expect(sql.query(statement as string), `${role}: ${statement}`).rejects.toMatchObject({ code: '42501' })
    await sql.query('rollback to before')
  }
})
