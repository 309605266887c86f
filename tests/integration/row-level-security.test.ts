import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { findLeaks } from '../support/row-level-leaks.ts'
import {
  findCatalogueProblems,
  listExpectedPolicies,
  listPolicies,
  listTenantTables,
  makeTenants,
  type Tenants,
  type TenantTable,
  tenantRoles,
} from '../support/row-level-security.ts'
import { insertStatement, makeTenantRows, prepareTenantRows, type Row } from '../support/tenant-rows.ts'

let database: TestDatabase
let sql: TestDatabase['sql']
let tables: TenantTable[]
let tenants: Tenants

beforeAll(async () => {
  database = await createTestDatabase()
  sql = database.sql
  await prepareTenantRows(sql)
  tenants = await makeTenants(sql)
  tables = await listTenantTables(sql)
})
afterAll(() => database.drop())
// whatever a test does is undone: a mutation is gone before the next one
beforeEach(() => sql.query('begin'))
afterEach(() => sql.query('rollback'))

/** In a savepoint, so that mutations do not add up. */
async function undone<T>(work: () => Promise<T>): Promise<T> {
  await sql.query('savepoint mutation')
  try {
    return await work()
  } finally {
    await sql.query('rollback to savepoint mutation')
  }
}

describe('row-level security', () => {
  test('is enabled and forced on every table and partition, with the policies of every tenant table', async () => {
    expect(tables.length).toBeGreaterThan(11)
    expect(await findCatalogueProblems(sql)).toEqual([])
  })

  test.each(tenantRoles)('lets %s of A neither see nor change what is B’s, and nobody anything', async (role) => {
    const problems: string[] = []
    for (const table of tables) problems.push(...(await undone(() => findLeaks(sql, table, role, tenants))))
    expect(problems).toEqual([])
  })

  test('shows the sequencer the outbox of all organizations, and nothing else', async () => {
    await sql.query('set local role qflare_sequencer')
    const { rows } = await sql.query<{ organization_id: string }>('select organization_id from audit_outbox')
    expect(new Set(rows.map((row) => row.organization_id))).toEqual(new Set([tenants.a, tenants.b]))
    await expect(sql.query('select from principal')).rejects.toMatchObject({ code: '42501' })
  })

  test('shows qflare_jobs no device, no key material and nothing that a session was used for', async () => {
    await sql.query('set local role qflare_jobs')
    expect((await sql.query('select organization_id, id, bucket, last_epoch from session')).rowCount).toBe(2)
    for (const column of ['principal_id', 'confirmation_hash', 'token_nonces']) {
      await sql.query('savepoint before')
      await expect(sql.query(`select ${column} from session`)).rejects.toMatchObject({ code: '42501' })
      await sql.query('rollback to before')
    }
  })

  test.each(['qflare_api', 'qflare_auditor', 'qflare_sequencer'])(
    '%s does none of the work of the jobs',
    async (role) => {
      await sql.query(`set local role ${role}`)
      for (const call of [
        'list_open_buckets()',
        'count_open_sessions()',
        `count_sessions_of_day('2031-05-06')`,
        `list_ended_sessions(7, now(), now(), now(), 1)`,
        `drop_session_partition('2001-01-01', '2002-01-01')`,
        `drop_attestation_partition('2001-01-01', '2002-01-01')`,
        `make_attestation_partition('2031-05-06')`,
        `list_relied_results('2031-05-06', 1)`,
        'list_unneeded_results(1)',
        `count_attestations_before('2031-05-06')`,
      ]) {
        await sql.query('savepoint before')
        await expect(sql.query(`select ${call}`), call).rejects.toMatchObject({ code: '42501' })
        await sql.query('rollback to before')
      }
    },
  )
})

describe('the API’s login, as organization A,', () => {
  beforeEach(async () => {
    await sql.query(`select set_config('qflare.organization_id', $1, true)`, [tenants.a])
    await sql.query('set local role qflare_api')
  })

  test('lists every organization through its function, and sees its own only without', async () => {
    const listed = await sql.query<{ id: string }>('select id from list_organizations(null, 10)')
    expect(listed.rows.map(({ id }) => id)).toEqual([tenants.a, tenants.b].toSorted().toReversed())
    const next = await sql.query('select id from list_organizations($1, 10)', [listed.rows[0]?.id])
    expect(next.rows).toEqual(listed.rows.slice(1))
    expect((await sql.query('select id from organization')).rows).toEqual([{ id: tenants.a }])
  })

  test('makes no administrator of the service, not even by a statement of its own', async () => {
    const { api_token: token } = makeTenantRows(tenants.a)
    const refused = { code: '42501' }
    await sql.query('savepoint before')
    for (const change of [{ service_admin: true }, { service_admin: false }]) {
      await expect(sql.query(insertStatement('api_token', { ...token, ...change }))).rejects.toMatchObject(refused)
      await sql.query('rollback to before')
    }
    await sql.query(insertStatement('api_token', token as Row))
    await sql.query('savepoint after')
    for (const assignment of ['service_admin = true', `roles = '{admin}'`, 'secret_hash = secret_hash']) {
      await expect(sql.query(`update api_token set ${assignment}`)).rejects.toMatchObject(refused)
      await sql.query('rollback to after')
    }
  })

  test.each(['qflare_worker', 'qflare_auditor', 'qflare_sequencer'])('%s does not list organizations', async (role) => {
    await sql.query('reset role')
    await sql.query(`set local role ${role}`)
    await expect(sql.query('select list_organizations(null, 10)')).rejects.toMatchObject({ code: '42501' })
  })
})

describe('the checks of row-level security turn red', () => {
  test('when any one policy is dropped', async () => {
    const policies = (await listPolicies(sql)).map((line) => line.split(/[ :]/, 2) as [table: string, policy: string])
    expect(policies.length).toBe(listExpectedPolicies(tables).length)
    for (const [table, policy] of policies) {
      const problems = await undone(async () => {
        await sql.query(`drop policy ${policy} on ${table}`)
        return findCatalogueProblems(sql)
      })
      expect(problems, `${policy} on ${table}`).toEqual([expect.stringContaining(`missing: ${table} ${policy}`)])
    }
  })

  test('when any one policy lets everything through, is for somebody else, or is for everybody', async () => {
    const { rows } = await sql.query<{ name: string; has_using: boolean; has_check: boolean }>(
      `select polname || ' on ' || polrelid::regclass as name, coalesce(pg_get_expr(polqual, polrelid) <> 'true', false) as has_using,
          coalesce(pg_get_expr(polwithcheck, polrelid) <> 'true', false) as has_check from pg_policy`,
    )
    for (const { name, has_using, has_check } of rows) {
      const changes = ['to public', 'to qflare_queues', 'to qflare_api']
      if (has_using) changes.push('using (true)')
      if (has_check) changes.push('with check (true)')
      for (const change of changes) {
        const problems = await undone(async () => {
          await sql.query(`alter policy ${name} ${change}`)
          return findCatalogueProblems(sql)
        })
        expect(problems, `${name} ${change}`).toEqual([
          expect.stringContaining('missing: '),
          expect.stringContaining('unexpected: '),
        ])
      }
    }
  })

  test.each(['disable', 'no force'])('when RLS of any one table or partition is changed to %s', async (change) => {
    const { rows } = await sql.query<{ name: string }>(
      'select oid::regclass::text as name from pg_class where relforcerowsecurity',
    )
    expect(rows.length).toBeGreaterThan(tables.length)
    for (const { name } of rows) {
      const problems = await undone(async () => {
        await sql.query(`alter table ${name} ${change} row level security`)
        return findCatalogueProblems(sql)
      })
      expect(problems).toEqual([`${name}: RLS is not enabled and forced`])
    }
  })

  test('by what A then sees and changes, on every table, when its policies let everything through', async () => {
    for (const table of tables) {
      const leaks = async (...changes: string[]) =>
        undone(async () => {
          for (const change of changes) await sql.query(change)
          return findLeaks(sql, table, 'qflare_api', tenants)
        })
      const open = (policy: string) => `alter policy ${policy} on ${table.name} using (true) with check (true)`
      const kinds = [
        'select',
        'for update',
        'update',
        'returning old',
        'delete',
        'insert',
        'do update',
        'merge',
        'copy',
      ]
      for (const changes of [
        [`alter table ${table.name} disable row level security`],
        [open('tenant'), open('tenant_only')],
      ]) {
        const seen = (await leaks(...changes)).join('\n')
        for (const kind of kinds) expect(seen, table.name).toContain(kind)
      }
      expect(await leaks(`drop policy tenant on ${table.name}`)).not.toEqual([])
      expect(await leaks(`alter table ${table.name} no force row level security`)).not.toEqual([])
      // either of the two policies is enough: that is why there are two
      expect(await leaks(open('tenant'))).toEqual([])
      expect(await leaks(open('tenant_only'))).toEqual([])
    }
  })

  test.each([
    ['alter policy tenant on principal using (true)', 'missing: principal tenant: permissive'],
    ['alter policy tenant_only on principal with check (true)', 'missing: principal tenant_only: restrictive'],
    ['alter policy tenant_only on principal to qflare_api', 'missing: principal tenant_only: restrictive'],
    ['create policy more on evidence for select using (true)', 'unexpected: evidence more: permissive'],
    ['create policy more on session_20310506 using (true)', 'unexpected: session_20310506 more'],
    ['grant select on session_20310506 to qflare_api', 'session_20310506: is granted directly'],
    ['grant select (id) on session_20310506 to qflare_api', 'session_20310506: is granted directly'],
    ['alter policy published on audit_entry using (true)', 'missing: audit_entry published: restrictive'],
    ['alter policy published on audit_event_id to qflare_api', 'missing: audit_event_id published: restrictive'],
    ['alter policy tenant_only on audit_entry using (true)', 'missing: audit_entry tenant_only: restrictive'],
    ['alter policy append on audit_entry to qflare_worker', 'missing: audit_entry append: permissive'],
    ['create policy more on audit_entry_0 using (true)', 'unexpected: audit_entry_0 more'],
    ['grant select on audit_entry_0 to qflare_auditor', 'audit_entry_0: is granted directly'],
    ['alter table audit_tile add organization_id uuid', 'audit_tile: holds rows of organizations'],
    ['grant execute on function remove_audit_entries to public', 'remove_audit_entries: is a SECURITY DEFINER'],
    ['alter function find_missing_events reset all', 'find_missing_events: is a SECURITY DEFINER'],
    ['create table newcomer (id uuid)', 'newcomer: RLS is not enabled and forced'],
    ['alter table temporal_key add organization_id uuid', 'temporal_key: holds rows of organizations'],
    ['alter table trust_bundle rename to trust', 'trust_bundle: is an exception, but no table'],
    ['create view devices as select * from principal', 'devices: is a view without security_invoker'],
    ['create materialized view devices as select * from principal', 'devices: is a view'],
    ['grant execute on function count_open_sessions to public', 'count_open_sessions: is a SECURITY DEFINER'],
    ['grant execute on function list_ended_sessions to public', 'list_ended_sessions: is a SECURITY DEFINER'],
    ['alter function drop_session_partition reset all', 'drop_session_partition: is a SECURITY DEFINER'],
    ['grant execute on function list_organizations to public', 'list_organizations: is a SECURITY DEFINER'],
    ['alter policy list_organizations on organization to qflare_api', 'missing: organization list_organizations'],
    ['alter function make_session_partition reset all', 'make_session_partition: is a SECURITY DEFINER'],
    ['grant execute on function list_ended_sessions to qflare_api', 'qflare_api list_ended_sessions: is a SECURITY'],
    [
      'grant execute on function list_organizations to qflare_auditor',
      'qflare_auditor list_organizations: is a SECURITY',
    ],
    ['alter function sealed_under security definer', 'qflare_worker sealed_under: is a SECURITY DEFINER'],
    ['grant usage on schema bullmq to qflare_api', 'qflare_api: may use schema bullmq'],
    ['grant create on schema public to qflare_auditor', 'qflare_auditor: may make objects in schema public'],
    ['grant qflare_queues to qflare_worker', 'qflare_worker: may use schema bullmq'],
  ])('after: %s', async (change, problem) => {
    await sql.query(change)
    expect(await findCatalogueProblems(sql)).toContainEqual(expect.stringContaining(problem))
  })

  test('for a new tenant table until it has a row in the fixtures', async () => {
    await sql.query(`create table newcomer (organization_id uuid, id uuid); select isolate_tenants('newcomer')`)
    expect(await findCatalogueProblems(sql)).toEqual([])
    const newcomer = (await listTenantTables(sql)).find(({ name }) => name === 'newcomer') as TenantTable
    expect(await findLeaks(sql, newcomer, 'qflare_api', tenants)).toEqual([
      'newcomer: has no row in tests/support/tenant-rows.ts',
    ])
  })
})
