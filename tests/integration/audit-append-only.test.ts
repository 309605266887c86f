import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { makeTenants } from '../support/row-level-security.ts'
import { prepareTenantRows } from '../support/tenant-rows.ts'

/** Who may do what to the tables of the log: by privilege first, and by triggers where no privilege stands in the way. */

const APPEND_ONLY = { code: 'QF002' }
const INSUFFICIENT_PRIVILEGE = { code: '42501' }

let database: TestDatabase
let sql: TestDatabase['sql']

beforeAll(async () => {
  database = await createTestDatabase()
  sql = database.sql
  await prepareTenantRows(sql)
  await makeTenants(sql)
  await sql.query(`insert into audit_tile (level, first_index, hashes) values (0, 0, sha256('') || sha256('x'))`)
})
afterAll(() => database.drop())
beforeEach(() => sql.query('begin'))
afterEach(() => sql.query('rollback'))

async function expectRefused(statement: string, code: object, role?: string): Promise<void> {
  await sql.query('savepoint before')
  if (role !== undefined) await sql.query(`set local role ${role}`)
  await expect(sql.query(statement), `${role}: ${statement}`).rejects.toMatchObject(code)
  await sql.query('rollback to before')
}

/** What changes or removes rows that are there. */
const changes: Record<string, string[]> = {
  audit_entry: changesOf('audit_entry', 'entry', 'index'),
  audit_entry_0: changesOf('audit_entry_0', 'entry', 'index'),
  audit_event_id: changesOf('audit_event_id', 'index', 'event_id'),
  audit_tile: changesOf('audit_tile', 'hashes', 'level, first_index'),
}

function changesOf(table: string, column: string, key: string): string[] {
  const same = key
    .split(', ')
    .map((name) => `t.${name} = s.${name}`)
    .join(' and ')
  return [
    `update ${table} set ${column} = ${column}`,
    `update ${table} set ${column} = ${column} where false`,
    `delete from ${table}`,
    `truncate ${table}`,
    `truncate ${table} cascade`,
    `merge into ${table} t using (select * from ${table}) s on ${same} when matched then delete`,
    `merge into ${table} t using (select * from ${table}) s on ${same} when matched then update set ${column} = s.${column}`,
    `insert into ${table} select * from ${table} on conflict (${key}) do update set ${column} = excluded.${column}`,
  ]
}

describe.each(Object.entries(changes))('%s', (table, statements) => {
  test('is changed by nobody: the superuser and the owner are refused by its trigger', async () => {
    for (const statement of statements) {
      await expectRefused(statement, APPEND_ONLY)
      await expectRefused(statement, APPEND_ONLY, 'qflare_owner')
    }
  })

  test('is changed by no working role: none has the privilege', async () => {
    const roles = ['api', 'worker', 'auditor', 'sequencer', 'jobs', 'migrator']
    for (const role of roles) {
      for (const statement of statements) await expectRefused(statement, INSUFFICIENT_PRIVILEGE, `qflare_${role}`)
    }
  })

  test('would be changed without its trigger, so that the tests above would tell', async () => {
    await sql.query(`alter table ${table} disable trigger append_only`)
    expect((await sql.query(`delete from ${table}`)).rowCount).toBeGreaterThan(0)
  })
})

test('rights on the tables of the log are these and no others; their owner apart', async () => {
  const { rows } = await sql.query<{ line: string }>(
    `select format('%s: %s %s', replace(r.rolname, 'qflare_', ''), c.relname,
        string_agg(lower(p.name) || case when has_table_privilege(r.oid, c.oid, p.name) then '' else ' (columns)' end,
          ', ' order by p.name)) as line
      from pg_roles r, pg_class c, unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'])
        as p (name)
      where r.rolname like 'qflare%' and r.rolname <> 'qflare_owner' and c.relnamespace = 'public'::regnamespace
        and c.relkind in ('r', 'p') and c.relname like 'audit%'
        and (has_table_privilege(r.oid, c.oid, p.name)
          or p.name in ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES') and has_any_column_privilege(r.oid, c.oid, p.name))
      group by r.rolname, c.relname order by 1`,
  )
  expect(rows.map(({ line }) => line)).toEqual([
    'api: audit_outbox insert',
    'auditor: audit_checkpoint select',
    'auditor: audit_cosignature select',
    'auditor: audit_entry select',
    'auditor: audit_event_id select',
    'auditor: audit_log_state select',
    'auditor: audit_partition select',
    'auditor: audit_tile select',
    'jobs: audit_event_id select (columns)',
    'sequencer: audit_checkpoint insert, select',
    'sequencer: audit_cosignature insert, select',
    'sequencer: audit_entry insert, select',
    'sequencer: audit_event_id insert, select',
    'sequencer: audit_log_state select, update (columns)',
    'sequencer: audit_outbox delete, insert, select',
    'sequencer: audit_partition select, update (columns)',
    'sequencer: audit_tile insert, select',
    'worker: audit_checkpoint select (columns)',
    'worker: audit_log_state select (columns)',
    'worker: audit_outbox insert',
  ])
})

describe('a partition', () => {
  test('has its own trigger and row-level security from the start, and is made once', async () => {
    await sql.query('update audit_log_state set partition_entries = 512')
    await sql.query('set local role qflare_sequencer')
    const make = `select make_audit_partition(4194304) as made`
    expect((await sql.query(make)).rows).toEqual([{ made: true }])
    expect((await sql.query(make)).rows).toEqual([{ made: false }])
    await sql.query('reset role')
    const { rows } = await sql.query(
      `select relrowsecurity, relforcerowsecurity, pg_get_userbyid(relowner) as owner, relacl from pg_class
        where relname = 'audit_entry_4194304'`,
    )
    expect(rows).toEqual([{ relrowsecurity: true, relforcerowsecurity: true, owner: 'qflare_owner', relacl: null }])
    for (const statement of changesOf('audit_entry_4194304', 'entry', 'index')) {
      await expectRefused(statement, APPEND_ONLY)
    }
  })

  test('is dropped, detached or disarmed by no working role', async () => {
    for (const statement of [
      'drop table audit_entry_0',
      'alter table audit_entry detach partition audit_entry_0',
      'alter table audit_entry_0 disable trigger append_only',
      'drop trigger append_only on audit_entry_0',
      'create or replace function refuse_change() returns trigger language plpgsql as $$ begin return null; end $$',
      'set session_replication_role = replica',
    ]) {
      for (const role of ['qflare_sequencer', 'qflare_auditor', 'qflare_migrator', 'qflare_jobs']) {
        await expectRefused(statement, INSUFFICIENT_PRIVILEGE, role)
      }
    }
  })
})

describe('remove_audit_entries, the one way in which bodies go,', () => {
  const OLD = '2020-01-01'

  /** Two partitions of 512 whose entries are as old as is said, in a log that is published as far as is said. */
  async function prepare(newest: (string | null)[], published = 1024): Promise<void> {
    await sql.query(`set local session_replication_role = replica`)
    await sql.query('delete from audit_entry')
    await sql.query(`set local session_replication_role = origin`)
    await sql.query('drop table audit_entry_0')
    await sql.query('delete from audit_partition')
    await sql.query('update audit_log_state set partition_entries = 512, size = 1024, published_size = $1', [published])
    for (const [at, time] of newest.entries()) {
      await sql.query('select make_audit_partition($1)', [512 * at])
      await sql.query('update audit_partition set oldest_at = $2, newest_at = $2 where first_index = $1', [
        512 * at,
        time,
      ])
    }
  }

  async function remove(olderThan = `timestamptz '2021-01-01'`): Promise<unknown[]> {
    await sql.query('set local role qflare_sequencer')
    const { rows } = await sql.query(`select from_index::int, to_index::int from remove_audit_entries(${olderThan})`)
    await sql.query('reset role')
    return rows
  }

  async function partitions(): Promise<string[]> {
    const { rows } = await sql.query<{ name: string }>(
      `select relname as name from pg_class where relispartition and relkind = 'r' and relname like 'audit_entry%' order by 1`,
    )
    return rows.map(({ name }) => name)
  }

  test('takes whole partitions, oldest first, one at a time, and says what it took', async () => {
    await prepare([OLD, OLD])
    expect(await remove()).toEqual([{ from_index: 0, to_index: 512 }])
    expect(await partitions()).toEqual(['audit_entry_512'])
    expect(await remove()).toEqual([{ from_index: 512, to_index: 1024 }])
    expect(await remove()).toEqual([])
    const { rows } = await sql.query('select removed_at is not null as is_removed from audit_partition')
    expect(rows).toEqual([{ is_removed: true }, { is_removed: true }])
  })

  test.each([
    ['a time within the last year', `now() - interval '364 days'`],
    ['the future', `timestamptz 'infinity'`],
    ['no time', 'null'],
  ])('refuses %s', async (_what, olderThan) => {
    await prepare([OLD, OLD])
    await sql.query('savepoint prepared')
    await expect(remove(olderThan)).rejects.toMatchObject({ code: 'QF003' })
    await sql.query('rollback to prepared')
    expect(await partitions()).toHaveLength(2)
  })

  test.each<[string, (string | null)[], number]>([
    ['an entry as young as that time', ['2021-01-01', OLD], 1024],
    ['no entry yet', [null, OLD], 1024],
    ['an entry that is not published yet, or no entry in its last place', [OLD, OLD], 511],
  ])('takes nothing while the oldest partition has %s', async (_what, newest, published) => {
    await prepare(newest, published)
    expect(await remove()).toEqual([])
    expect(await partitions()).toHaveLength(2)
  })

  test('accepts a time of exactly a year ago', async () => {
    await prepare([OLD])
    expect(await remove(`now() - interval '365 days'`)).toHaveLength(1)
  })
})
