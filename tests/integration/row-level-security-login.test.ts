import { Client, DatabaseError } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { listTenantTables, makeTenants, type Tenants, type TenantTable } from '../support/row-level-security.ts'
import { insertStatement, makeTenantRows, prepareTenantRows, type Row } from '../support/tenant-rows.ts'

/** What somebody could try who brings statements of his own into a connection of the service. */

let database: TestDatabase
let tables: TenantTable[]
let tenants: Tenants

beforeAll(async () => {
  database = await createTestDatabase()
  await prepareTenantRows(database.sql)
  tenants = await makeTenants(database.sql)
  tables = await listTenantTables(database.sql)
})
afterAll(() => database.drop())

describe.each(['qflare_api', 'qflare_worker'])('a connection of %s, as organization A,', (role) => {
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

  test('copies out its own rows only, and copies nothing in, to a file or to a program', async () => {
    const readable = role === 'qflare_api' ? 'principal' : 'api_token'
    expect((await client.query(`copy ${readable} to stdout`)).rowCount).toBe(1)
    expect((await client.query(`copy (select * from ${readable}) to stdout`)).rowCount).toBe(1)
    const featureNotSupported = '0A000'
    const insertable = role === 'qflare_api' ? 'evidence' : 'api_token'
    await expectRefused(`copy ${insertable} from stdin`, featureNotSupported)
    await expectRefused(`copy ${readable} to '/tmp/qflare-copy'`)
    await expectRefused(`copy ${readable} to program 'cat'`)
    await expectRefused(`copy ${insertable} from program 'cat'`)
  })

  test('cannot become the owner, the migrator, qflare_jobs or a superuser', async () => {
    // The embedded login is a NOINHERIT member of the four working roles: `set role qflare_worker` succeeds by design, and
    // so does this. With DATABASE_URL each role has a login of its own.
    await client.query('set role qflare_auditor')
    await client.query(`set role ${role}`)
    for (const other of ['qflare_owner', 'qflare_migrator', 'qflare_jobs', 'postgres', 'pg_read_all_data']) {
      await expectRefused(`set role ${other}`)
      await expectRefused(`select set_config('role', '${other}', true)`)
      await expectRefused(`set session authorization ${other}`)
    }
  })

  test('has no rights at all once it gives its role back', async () => {
    await client.query('set role none')
    try {
      for (const { name } of tables) await expectRefused(`select from ${name}`)
      await expectRefused('select from directory')
    } finally {
      await client.query(`set role ${role}`)
    }
  })

  test('cannot change what protects the rows', async () => {
    await expectRefused('alter table principal disable row level security')
    await expectRefused('drop policy tenant_only on principal')
    await expectRefused('create policy more on principal using (true)')
    await expectRefused('create table principal_copy as select * from principal')
    await expectRefused('create or replace function current_organization() returns uuid language sql return null')
    await expectRefused(`select isolate_tenants('principal')`)
    await expectRefused('set session_replication_role = replica')
  })

  test('deletes nothing but who belongs to its own federations, and what is old or told: no other table is granted for it', async () => {
    const old =
      role === 'qflare_worker'
        ? [
            'revocation',
            'device_network',
            'monitor_signal',
            'incident_notice',
            'threat_score',
            'kept_attestation_result',
            'incident',
            'incident_event',
            'incident_device',
            'enrollment_token',
            'challenge',
          ]
        : []
    const granted = ['federation_member', 'federation_coordinator', ...old]
    for (const { name } of tables) if (!granted.includes(name)) await expectRefused(`delete from ${name}`)
  })
})

describe('a probe answers alike for what another organization has and for what nobody has', () => {
  /** Keys without the organization, and why nobody learns anything from them. */
  const globalKeys: Record<string, string> = {
    organization_name_key: 'only a service administrator, who sees all organizations, makes one',
    audit_outbox_pkey: 'the service makes event ids; nobody brings one',
    audit_entry_pkey: 'the log numbers its entries, and the sequencer alone inserts',
    audit_event_id_pkey: 'the service makes event ids, and the sequencer alone inserts',
    audit_event_id_index_key: 'the log numbers its entries, and the sequencer alone inserts',
    challenge_trust_sequence_fkey: 'trust bundles are public',
    round_trust_sequence_fkey: 'trust bundles are public',
  }

  interface Key {
    name: string
    table: string
    columns: string[]
    /** Of a foreign key: what each column refers to. */
    target: string | null
    target_columns: string[] | null
  }

  async function listKeys(): Promise<Key[]> {
    const { rows } = await database.sql.query<Key>(
      `select conname as name, conrelid::regclass::text as table, confrelid::regclass::text as target,
          ${columnNames('conrelid', 'conkey')} as columns, ${columnNames('confrelid', 'confkey')} as target_columns
        from pg_constraint where contype = 'f' and conrelid::regclass::text = any ($1)
        union all
        select indexrelid::regclass::text, indrelid::regclass::text, null, ${columnNames('indrelid', 'indkey')}, null
        from pg_index where indisunique and indrelid::regclass::text = any ($1)`,
      [tables.map(({ name }) => name)],
    )
    return rows
  }

  function columnNames(relation: string, numbers: string): string {
    return `(select array_agg(attname::text order by place) from unnest(${numbers}::int2[]) with ordinality as n (number, place)
      join pg_attribute on attrelid = ${relation} and attnum = number)`
  }

  type Way = 'inserts' | 'updates'

  /** What A learns when it stores a row of its own with the probed columns of `other`, or changes one of its own to them. */
  async function probe(
    key: Key,
    tenantColumn: string,
    other: ReturnType<typeof makeTenantRows>,
    way: Way,
  ): Promise<string> {
    const { sql } = database
    const own = makeTenantRows(tenants.a)
    const row = own[key.table] as Row
    const source = other[key.target ?? key.table] ?? {}
    const probed = key.columns.flatMap((column, i) =>
      column === tenantColumn ? [] : [[column, source[key.target_columns?.[i] ?? column]] as const],
    )
    await sql.query('begin')
    try {
      const names = Object.keys(own)
      const parents = names.slice(0, names.indexOf(key.table)).filter((name) => name !== 'organization')
      // Of what an organization has one of, A has it already.
      for (const name of parents) await sql.query(insertStatement(name, own[name] as Row, 'on conflict do nothing'))
      if (way === 'updates') await sql.query(insertStatement(key.table, row))
      await sql.query(`grant select, insert, update on ${key.table} to qflare_api`)
      await sql.query(`select set_config('qflare.organization_id', $1, true)`, [tenants.a])
      await sql.query('set local role qflare_api')
      if (way === 'inserts') {
        await sql.query(insertStatement(key.table, { ...row, ...Object.fromEntries(probed) }))
      } else {
        const assignments = probed.map(([column], i) => `${column} = $${i + 1}`).join(', ')
        const known = await keyOf(key.table)
        const conditions = known.map((column, i) => `${column} = $${probed.length + i + 1}`).join(' and ')
        await sql.query(`update ${key.table} set ${assignments} where ${conditions}`, [
          ...probed.map(([, value]) => value),
          ...known.map((column) => row[column]),
        ])
      }
      await sql.query('set constraints all immediate')
      return 'stored'
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error
      const { code, message, constraint, detail = '' } = error
      const told = probed.reduce((text, [, value]) => text.replace(String(value), '…'), detail)
      return JSON.stringify({ code, message, constraint, told })
    } finally {
      await sql.query('rollback')
    }
  }

  async function keyOf(table: string): Promise<string[]> {
    const { rows } = await database.sql.query<{ columns: string[] }>(
      `select ${columnNames('indrelid', 'indkey')} as columns from pg_index where indisprimary and indrelid = $1::regclass`,
      [table],
    )
    return rows[0]?.columns ?? []
  }

  test('by every unique and every foreign key, and a key that would tell is on a list with its reason', async () => {
    const keys = await listKeys()
    const answers: Record<string, string> = {}
    const open: string[] = []
    for (const key of keys) {
      const { tenantColumn } = tables.find(({ name }) => name === key.table) as TenantTable
      if (!key.columns.includes(tenantColumn)) open.push(key.name)
      else {
        for (const way of ['inserts', 'updates'] as const) {
          if (way === 'updates' && key.columns.length === 1) continue
          const elsewhere = await probe(key, tenantColumn, tenants.rowsOfB, way)
          const nowhere = await probe(key, tenantColumn, makeTenantRows('00000000-0000-4000-8000-000000000000'), way)
          expect(elsewhere, `${key.name} ${way}`).toBe(nowhere)
          answers[`${key.name} ${way}`] = elsewhere
        }
      }
    }
    expect(open.sort()).toEqual(Object.keys(globalKeys).sort())
    expect(answers['api_token_pkey inserts']).toBe('stored')
    expect(answers['attester_state_organization_id_principal_id_fkey inserts']).toContain('"code":"23503"')
    expect(Object.values(answers).filter((answer) => answer !== 'stored').length).toBeGreaterThan(6)
  })
})
