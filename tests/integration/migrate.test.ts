import { createHash, randomUUID } from 'node:crypto'
import { Client, type ClientConfig } from 'pg'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { checkServer } from '../../database/check-server.ts'
import { migrate } from '../../database/migrate.ts'
import { migrations } from '../../database/migrations.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { makeDataFolder, start } from '../support/embedded.ts'

const names = migrations.map(({ name }) => name)

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

/** A database of the same server that nobody has migrated yet, and a look into it. */
async function createEmptyDatabase(): Promise<{ connection: ClientConfig; sql: Client }> {
  const name = `empty_${randomUUID().replaceAll('-', '')}`
  await database.sql.query(`create database ${name} owner qflare_owner`)
  const connection = { ...database.superuser, database: name }
  const sql = new Client(connection)
  await sql.connect()
  onTestFinished(async () => {
    await sql.end()
    await database.sql.query(`drop database ${name} with (force)`)
  })
  return { connection, sql }
}

async function appliedIn(sql: Client): Promise<string[]> {
  const { rows } = await sql.query<{ name: string }>('select name from schema_migration order by name')
  return rows.map(({ name }) => name)
}

describe('migrate', () => {
  test('by four migrators at once on an empty database all succeed, and each migration is applied once', async () => {
    const { connection, sql } = await createEmptyDatabase()
    const applied = await Promise.all(Array.from({ length: 4 }, () => migrate(connection)))
    expect(applied.flat().sort()).toEqual(names)
    expect(await appliedIn(sql)).toEqual(names)
  })

  test('a second time applies nothing', async () => {
    expect(await migrate(database.superuser)).toEqual([])
  })

  test('lets the keys of a service that was begun before they rotated sign and seal on', async () => {
    const { connection, sql } = await createEmptyDatabase()
    // in the way of an index of 0012
    await sql.query('set role qflare_owner; create table signing_key_published (); reset role')
    await expect(migrate(connection)).rejects.toThrow(/signing_key_published.*already exists/)
    await sql.query(`insert into signing_key
      select kid, use, 'ML-DSA-44', '\\x01', '\\x02', status, '2026-01-02', '2028-01-02'
        from (values ('a', 'bucket', 'ACTIVE'), ('b', 'bucket', 'RETIRED')) as t (kid, use, status)`)
    await sql.query(`insert into kek_version select 2, version, '\\x01', status, '2026-01-02'
      from (values (1, 'RETIRED'), (2, 'ACTIVE')) as t (version, status)`)
    await sql.query('drop table signing_key_published')
    await migrate(connection)
    const { rows } =
      await sql.query(`select kid, status, sealed_seed is null as erased, activated_at = not_before as begun,
      retired_at is not null as over from signing_key order by kid`)
    expect(rows).toEqual([
      { kid: 'a', status: 'ACTIVE', erased: false, begun: true, over: false },
      { kid: 'b', status: 'RETIRED', erased: true, begun: true, over: true },
    ])
    const keks = await sql.query(
      'select version::int, status, retired_at is null as seals from kek_version order by version',
    )
    expect(keks.rows).toEqual([
      { version: 1, status: 'RETIRED', seals: false },
      { version: 2, status: 'ACTIVE', seals: true },
    ])
  })

  test('makes everything as qflare_owner', async () => {
    const { rows } = await database.sql.query(
      `select relname from pg_class where relnamespace = 'public'::regnamespace and relowner <> 'qflare_owner'::regrole`,
    )
    expect(rows).toEqual([])
  })

  test('that fails leaves nothing of itself, keeps what came before it, and goes on once the cause is gone', async () => {
    const { connection, sql } = await createEmptyDatabase()
    // in the way of the second statement of 0005, whose first statement makes the table
    await sql.query(`set role qflare_owner; create sequence audit_outbox_seq; reset role`)
    await expect(migrate(connection)).rejects.toThrow(/audit_outbox_seq.*already exists/)
    expect(await appliedIn(sql)).toEqual(names.filter((name) => name < '0005'))
    const { rows } = await sql.query(`select to_regclass('audit_outbox') as found`)
    expect(rows).toEqual([{ found: null }])
    await sql.query('drop sequence audit_outbox_seq')
    expect(await migrate(connection)).toEqual(names.filter((name) => name >= '0005'))
  })

  test('that cannot be recorded leaves nothing of itself either', async () => {
    const { connection, sql } = await createEmptyDatabase()
    await sql.query(`set role qflare_owner; create table schema_migration (name text primary key check (name < '0003'),
      applied_at timestamptz not null default clock_timestamp()); reset role`)
    await expect(migrate(connection)).rejects.toThrow(/violates check constraint "schema_migration_name_check"/)
    expect(await appliedIn(sql)).toEqual(names.filter((name) => name < '0003'))
    const { rows } = await sql.query(
      `select to_regclass('organization') is not null as kept, to_regclass('principal') as left`,
    )
    expect(rows).toEqual([{ kept: true, left: null }])
  })

  test('by a login that cannot become the owner is refused and changes nothing', async () => {
    const { connection, sql } = await createEmptyDatabase()
    await expect(migrate({ ...database.login, database: connection.database })).rejects.toMatchObject({
      name: 'DatabaseError',
      code: 'refused',
      message: expect.stringContaining('cannot become qflare_owner'),
    })
    expect((await sql.query(`select to_regclass('schema_migration') as found`)).rows).toEqual([{ found: null }])
  })
})

test('a schema with a migration that this release does not know is refused, by the migrator and at start', async () => {
  const { connection, sql } = await createEmptyDatabase()
  await migrate(connection)
  await sql.query(`insert into schema_migration (name) values ('9999-of-the-future')`)
  const refusal = { code: 'refused', message: expect.stringContaining('9999-of-the-future') }
  await expect(migrate(connection)).rejects.toMatchObject(refusal)
  await expect(checkServer(connection, 'qflare_api')).rejects.toMatchObject(refusal)
})

describe('a migration that was changed after it ran', () => {
  const hashes = async (sql: Client) => {
    const { rows } = await sql.query<{ name: string; sha256: string | null }>(
      'select name, sha256 from schema_migration order by name',
    )
    return rows.map(({ sha256 }) => sha256)
  }
  const ours = migrations.map(({ up }) => createHash('sha256').update(up, 'utf8').digest('hex'))

  test('is refused by its name, by the migrator and at start, and nothing is applied on top of it', async () => {
    const { connection, sql } = await createEmptyDatabase()
    await migrate(connection)
    expect(await hashes(sql)).toEqual(ours)
    // as if there had been a space more in it
    const [changed, last] = ['0005-audit-outbox', names.at(-1)]
    const before = createHash('sha256')
      .update(`${migrations.find(({ name }) => name === changed)?.up} `)
      .digest('hex')
    await sql.query('update schema_migration set sha256 = $2 where name = $1', [changed, before])
    await sql.query('delete from schema_migration where name = $1', [last])
    const refusal = {
      code: 'refused',
      message: expect.stringContaining(`other SQL than this release has for ${changed}:`),
    }
    await expect(migrate(connection)).rejects.toMatchObject(refusal)
    await expect(checkServer(connection, 'qflare_api')).rejects.toMatchObject(refusal)
    expect(await appliedIn(sql)).toEqual(names.filter((name) => name !== last))
    expect(await hashes(sql)).toContain(before)
  })

  test('is taken for what this release has, once, where a release before kept nothing of it', async () => {
    const { connection, sql } = await createEmptyDatabase()
    await migrate(connection)
    await sql.query('alter table schema_migration drop column sha256')
    await checkServer(connection, 'qflare_worker')
    const applied = await Promise.all([1, 2, 3].map(() => migrate(connection)))
    expect(applied.flat()).toEqual([])
    expect(await hashes(sql)).toEqual(ours)
    // What the release before applies beside it.
    await sql.query('update schema_migration set sha256 = null where name = $1', [names.at(-1)])
    await checkServer(connection, 'qflare_worker')
    await migrate(connection)
    expect(await hashes(sql)).toEqual(ours)
  })
})

describe('checkServer', () => {
  /** A role of the whole server, for one test. It may read what the API may read. */
  async function createRole(attributes: string, memberOf?: string): Promise<string> {
    const role = `test_${randomUUID().replaceAll('-', '')}`
    await database.sql.query(`create role ${role} ${attributes} in role qflare_api`)
    if (memberOf !== undefined) await database.sql.query(`grant ${memberOf} to ${role} with inherit false`)
    onTestFinished(async () => {
      await database.sql.query(`drop role ${role}`)
    })
    return role
  }

  const refusedBecause = (reason: string) => ({ code: 'refused', message: expect.stringContaining(reason) })

  test('takes the roles that the service works as, and a plain login that is a member of one', async () => {
    await checkServer(database.login, 'qflare_api')
    await checkServer(database.login, 'qflare_worker')
    await checkServer(database.superuser, await createRole(''))
  })

  test('refuses a superuser', async () => {
    await expect(checkServer(database.superuser, undefined)).rejects.toMatchObject(refusedBecause('is a superuser'))
  })

  test('refuses the owner of the schema, and who can become the owner', async () => {
    const { superuser } = database
    const refused = refusedBecause('owns the schema')
    await database.sql.query('grant select on schema_migration to qflare_migrator')
    await expect(checkServer(superuser, 'qflare_owner')).rejects.toMatchObject(refused)
    await expect(checkServer(superuser, 'qflare_migrator')).rejects.toMatchObject(refused)
    await expect(checkServer(superuser, await createRole('', 'qflare_migrator'))).rejects.toMatchObject(refused)
  })

  test('refuses a role with BYPASSRLS', async () => {
    const role = await createRole('bypassrls')
    await expect(checkServer(database.superuser, role)).rejects.toMatchObject(refusedBecause(`${role} has BYPASSRLS`))
  })

  test('refuses a role that can make temporary tables, until the migrator has taken that from all', async () => {
    const { connection, sql } = await createEmptyDatabase()
    await migrate(connection)
    await checkServer(connection, 'qflare_api')
    await sql.query(`grant temporary on database ${connection.database} to public`)
    await expect(checkServer(connection, 'qflare_api')).rejects.toMatchObject(
      refusedBecause(`revoke temporary on database ${connection.database} from public`),
    )
    await migrate(connection)
    await checkServer(connection, 'qflare_api')
  })

  test('refuses a database where commits are not durable', async () => {
    const { connection, sql } = await createEmptyDatabase()
    await migrate(connection)
    await sql.query(`alter database ${connection.database} set synchronous_commit = off`)
    await expect(checkServer(connection, 'qflare_api')).rejects.toMatchObject(
      refusedBecause('synchronous_commit is off'),
    )
  })

  test('refuses a schema that lacks a migration', async () => {
    const { connection, sql } = await createEmptyDatabase()
    await migrate(connection)
    await sql.query(`delete from schema_migration where name = $1`, [names.at(-1)])
    await expect(checkServer(connection, 'qflare_api')).rejects.toMatchObject(
      refusedBecause(`lacks ${names.at(-1)}: run the migrations`),
    )
  })

  test('names all reasons at once', async () => {
    const { connection, sql } = await createEmptyDatabase()
    await migrate(connection)
    await sql.query(`alter database ${connection.database} set synchronous_commit = off`)
    await sql.query(`insert into schema_migration (name) values ('9999-of-the-future')`)
    await expect(checkServer(connection, undefined)).rejects.toThrow(
      /is a superuser.*synchronous_commit is off.*newer than this release/,
    )
  })
})

test('a server without our roles or without fsync is refused with the reason', async () => {
  const postgres = await start(await makeDataFolder(), { settings: { fsync: 'off', full_page_writes: 'off' } })
  const { host, port, superuserPassword: password } = postgres
  const connection = { host, port, password, user: 'postgres', database: 'postgres' }
  const noRoles = {
    code: 'refused',
    message: expect.stringMatching(/^These roles are missing: qflare_api, .*qflare_worker\./),
  }
  await expect(migrate(connection)).rejects.toMatchObject(noRoles)
  const sql = new Client(connection)
  await sql.connect()
  for (const role of ['owner', 'migrator', 'api', 'worker', 'auditor', 'jobs', 'queues'])
    await sql.query(`create role qflare_${role}`)
  const oneMissing = { code: 'refused', message: expect.stringMatching(/^These roles are missing: qflare_sequencer\./) }
  await expect(migrate(connection)).rejects.toMatchObject(oneMissing)
  await sql.query('create table schema_migration (name text)')
  await sql.end()
  await expect(checkServer(connection, undefined)).rejects.toThrow(/fsync is off.*full_page_writes is off/)
})
