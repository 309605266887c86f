import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { makeTenants, type Tenants } from '../support/row-level-security.ts'
import { insertStatement, makeTenantRows, prepareTenantRows, type Row } from '../support/tenant-rows.ts'

/** Who reads which rows of the audit log: two organizations and the service itself have one entry each. */

const tables = ['audit_entry', 'audit_event_id']

let database: TestDatabase
let sql: TestDatabase['sql']
let tenants: Tenants
let indexOfService: number

beforeAll(async () => {
  database = await createTestDatabase()
  sql = database.sql
  await prepareTenantRows(sql)
  tenants = await makeTenants(sql)
  const { audit_entry: entry, audit_event_id: id } = makeTenantRows(NIL_UUID)
  await sql.query(insertStatement('audit_entry', entry as Row))
  await sql.query(insertStatement('audit_event_id', id as Row))
  indexOfService = Number(entry?.index)
})
afterAll(() => database.drop())
beforeEach(() => sql.query('begin'))
afterEach(() => sql.query('rollback'))

async function become(role: string, organizationId: string): Promise<void> {
  await sql.query(`select set_config('qflare.organization_id', $1, true)`, [organizationId])
  await sql.query(`set local role ${role}`)
}

async function organizationsIn(table: string): Promise<string[]> {
  const { rows } = await sql.query<{ id: string }>(`select organization_id as id from ${table} order by 1`)
  return rows.map(({ id }) => id)
}

describe.each(tables)('%s', (table) => {
  test('shows an auditor what is of its organization and of the service, and nothing of another', async () => {
    await become('qflare_auditor', tenants.a)
    expect(await organizationsIn(table)).toEqual([NIL_UUID, tenants.a])
  })

  test('shows an auditor without an organization nothing at all', async () => {
    await become('qflare_auditor', '')
    expect(await organizationsIn(table)).toEqual([])
  })

  test('shows an auditor nothing that no published checkpoint covers, and all of it once one does', async () => {
    await sql.query('update audit_log_state set published_size = $1', [indexOfService])
    await become('qflare_auditor', tenants.a)
    expect(await organizationsIn(table)).toEqual([tenants.a])
    await sql.query('reset role')
    await sql.query('update audit_log_state set published_size = 0')
    await become('qflare_auditor', tenants.a)
    expect(await organizationsIn(table)).toEqual([])
    await sql.query('reset role')
    await sql.query('update audit_log_state set published_size = $1', [indexOfService + 1])
    await become('qflare_auditor', tenants.a)
    expect(await organizationsIn(table)).toEqual([NIL_UUID, tenants.a])
  })

  test('shows what is not published when the policy of that name lets it through, so that the test above would tell', async () => {
    await sql.query(`update audit_log_state set published_size = 0`)
    await sql.query(`alter policy published on ${table} using (true)`)
    await become('qflare_auditor', tenants.a)
    expect(await organizationsIn(table)).toEqual([NIL_UUID, tenants.a])
  })

  test('shows the sequencer everything', async () => {
    await become('qflare_sequencer', '')
    expect((await organizationsIn(table)).toSorted()).toEqual([NIL_UUID, tenants.a, tenants.b].toSorted())
  })

  test.each(['qflare_api', 'qflare_worker', 'qflare_migrator'])('is not for %s to read', async (role) => {
    await become(role, tenants.a)
    await expect(sql.query(`select from ${table}`)).rejects.toMatchObject({ code: '42501' })
  })
})

test('where the log has no event an auditor learns as a number, and nothing of whose the others are', async () => {
  await become('qflare_auditor', tenants.a)
  const { rows } = await sql.query(`select find_missing_events(0, $1)::int as index`, [indexOfService + 3])
  expect(rows).toEqual([{ index: indexOfService + 1 }, { index: indexOfService + 2 }])
  await sql.query('reset role')
  await become('qflare_jobs', '')
  expect((await sql.query('select index from audit_event_id')).rowCount).toBe(3)
  await expect(sql.query('select organization_id from audit_event_id')).rejects.toMatchObject({ code: '42501' })
})

test.each(['qflare_api', 'qflare_worker', 'qflare_sequencer'])(
  '%s does not ask where events are missing',
  async (role) => {
    await become(role, '')
    await expect(sql.query('select find_missing_events(0, 1)')).rejects.toMatchObject({ code: '42501' })
  },
)

test.each(['qflare_api', 'qflare_worker', 'qflare_auditor'])('%s sequences and prunes nothing', async (role) => {
  const calls = ['make_audit_partition(0)', `remove_audit_entries('2000-01-01')`, 'prune_audit_checkpoints()']
  for (const statement of [...calls.map((one) => `select ${one}`), 'update audit_log_state set epoch = epoch + 1']) {
    await sql.query('savepoint before')
    await become(role, tenants.a)
    await expect(sql.query(statement), statement).rejects.toMatchObject({ code: '42501' })
    await sql.query('rollback to before')
  }
})

test('the sequencer tells of the service itself, and takes from the outbox without changing it', async () => {
  await become('qflare_sequencer', '')
  const { audit_outbox: own } = makeTenantRows(NIL_UUID)
  await sql.query(insertStatement('audit_outbox', own as Row))
  await sql.query('savepoint before')
  for (const organizationId of [tenants.a, '11111111-0000-4000-8000-000000000000']) {
    const { audit_outbox: row } = makeTenantRows(organizationId)
    await expect(sql.query(insertStatement('audit_outbox', row as Row))).rejects.toMatchObject({ code: '42501' })
    await sql.query('rollback to before')
  }
  await expect(sql.query(`update audit_outbox set entry = '{}'`)).rejects.toMatchObject({ code: '42501' })
  await sql.query('rollback to before')
  expect((await sql.query('delete from audit_outbox')).rowCount).toBe(3)
})
