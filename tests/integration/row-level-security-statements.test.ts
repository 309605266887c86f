import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  listTenantTables,
  makeTenants,
  type Tenants,
  type TenantTable,
  tenantRoles,
} from '../support/row-level-security.ts'
import { prepareTenantRows } from '../support/tenant-rows.ts'

/** Statements that know no rows, or go round the tables: every role on everything that the catalogue has. */

let database: TestDatabase
let tables: TenantTable[]
let tenants: Tenants

beforeAll(async () => {
  database = await createTestDatabase()
  await prepareTenantRows(database.sql)
  tenants = await makeTenants(database.sql)
  tables = await listTenantTables(database.sql)
  await database.sql.query('analyze')
})
afterAll(() => database.drop())

async function listNames(condition: string): Promise<string[]> {
  const { rows } = await database.sql.query<{ name: string }>(
    `select oid::regclass::text as name from pg_class where relnamespace in ('public'::regnamespace, 'bullmq'::regnamespace) and ${condition}`,
  )
  return rows.map(({ name }) => name)
}

const roles = ['qflare_api', 'qflare_worker', 'qflare_auditor', 'qflare_sequencer', 'qflare_queues'] as const

describe.each(roles)('a connection of %s, as organization A,', (role) => {
  let client: Client

  beforeAll(async () => {
    client = new Client({ ...database.login, options: `-c role=${role}` })
    await client.connect()
    await client.query(`select set_config('qflare.organization_id', $1, false)`, [tenants.a])
  })
  afterAll(() => client.end())

  async function expectRefused(statement: string, code = '42501'): Promise<void> {
    await expect(client.query(statement), statement).rejects.toMatchObject({ code })
  }

  test('is refused every partition, by name', async () => {
    const partitions = await listNames(`relispartition and relkind = 'r'`)
    expect(partitions).toEqual(expect.arrayContaining(['session_20310506', 'audit_entry_0']))
    for (const partition of partitions) {
      await expectRefused(`select from ${partition}`)
      await expectRefused(`select from only ${partition} for update`)
      await expectRefused(`insert into ${partition} default values`)
      await expectRefused(`update ${partition} set organization_id = organization_id`)
      await expectRefused(`delete from ${partition}`)
      await expectRefused(`copy ${partition} to stdout`)
      await expectRefused(`copy ${partition} from stdin`)
      await expectRefused(`select table_to_xml('${partition}', true, true, '')`)
      await expectRefused(`lock table ${partition} in access share mode`, '25P01')
      await expectRefused(`alter table session detach partition ${partition}`)
    }
  })

  test('cannot truncate any table', async () => {
    const all = await listNames(`relkind in ('r', 'p')`)
    expect(all.length).toBeGreaterThan(tables.length + 20)
    for (const name of all) await expectRefused(`truncate ${name} cascade`)
  })

  test('cannot read a tenant table with row_security off', async () => {
    await client.query('set row_security = off')
    try {
      for (const { name } of tables) await expectRefused(`select from ${name}`)
    } finally {
      await client.query('reset row_security')
    }
  })

  test('makes nothing that would stand before a table or function of ours for who gets the connection next', async () => {
    await expectRefused('create temporary table principal (id uuid)')
    await expectRefused('create temporary view principal as select')
    await expectRefused('create temporary sequence audit_outbox_seq_seq')
    await expectRefused('select 1 as id into temporary principal')
    await expectRefused('create function pg_temp.current_organization() returns uuid language sql return null')
    await expectRefused('create table public.newcomer (id uuid)')
    await expectRefused('create schema mine')
    await expectRefused('create extension postgres_fdw', '42501')
  })

  test('reads no sequence, and no statistics of what the columns of tenants hold', async () => {
    for (const name of await listNames(`relkind = 'S'`)) {
      if (role === 'qflare_queues' && name.startsWith('bullmq.')) continue
      await expectRefused(`select last_value from ${name}`)
      await expectRefused(`select nextval('${name}')`)
    }
    const hidden = await client.query(`select pg_sequence_last_value('audit_outbox_seq_seq') as last`)
    expect(hidden.rows).toEqual([{ last: null }])
    const partitions = await listNames(`relispartition and relkind = 'r'`)
    const names = [...tables.map(({ name }) => name), ...partitions]
    const { rows } = await client.query('select distinct tablename from pg_stats where tablename = any ($1)', [names])
    expect(rows).toEqual([])
    await expectRefused('select from pg_statistic')
    await expectRefused('select from pg_statistic_ext_data')
  })
})

test.each(tenantRoles)('%s of A gets nothing of B from functions that read tables themselves', async (role) => {
  const client = new Client({ ...database.login, options: `-c role=${role}` })
  await client.connect()
  try {
    await client.query(`select set_config('qflare.organization_id', $1, false)`, [tenants.a])
    const { rows } = await client.query<{ text: string }>(
      `select concat(schema_to_xml('public', true, true, ''), query_to_xml('select 1 as one', true, true, '')) as text`,
    )
    const text = rows[0]?.text ?? ''
    expect(text).toContain('<one>1</one>')
    for (const { name, tenantColumn } of tables) expect(text, name).not.toContain(tenants.rowsOfB[name]?.[tenantColumn])
  } finally {
    await client.end()
  }
})

test('what a connection has not named an organization for shows it nothing, and what is no organization is an error', async () => {
  const client = new Client({ ...database.login, options: '-c role=qflare_api' })
  await client.connect()
  try {
    const readable: string[] = []
    for (const { name } of tables) {
      const { rows } = await client.query<{ may: boolean }>(`select has_table_privilege($1, 'select') as may`, [name])
      if (rows[0]?.may !== true) continue
      readable.push(name)
      expect((await client.query(`select from ${name}`)).rowCount, name).toBe(0)
    }
    expect(readable.length).toBeGreaterThan(15)
    await client.query(`select set_config('qflare.organization_id', 'everybody', false)`)
    for (const name of readable) {
      await expect(client.query(`select from ${name}`), name).rejects.toMatchObject({ code: '22P02' })
    }
  } finally {
    await client.end()
  }
})
