import { Client, type ClientConfig } from 'pg'
import { describeChanged, hashMigration, readAppliedMigrations } from './applied-migrations.ts'
import { DatabaseError } from './errors.ts'
import { requireDirect } from './find-pooler.ts'
import { migrateQueues } from './migrate-queues.ts'
import { migrations } from './migrations.ts'
import { roles } from './roles.ts'

/** Any number; the same in every release. */
const MIGRATION_LOCK = 7_236_417_001

/**
 * Brings the schema to this release. Two migrators at once are safe: the second waits and finds nothing to do. Returns the
 * names of what was applied. `refused` when the schema is newer than this release or a migration was changed after it ran, the roles
 * are missing, or a pooler is in between.
 */
export async function migrate(connection: ClientConfig): Promise<string[]> {
  const client = new Client({ ...connection, application_name: 'qflare_migrator' })
  await client.connect()
  try {
    await requireDirect(client, 'Migrations')
    await client.query('select pg_advisory_lock($1)', [MIGRATION_LOCK])
    await requireRoles(client)
    await becomeOwner(client)
    await refuseTemporaryTables(client)
    await makeMigrationTable(client)
    const missing = await findPending(client)
    const pending = migrations.filter(({ name }) => missing.includes(name))
    for (const { name, up } of pending) {
      await client.query('begin')
      await client.query(up)
      await client.query('insert into schema_migration (name, sha256) values ($1, $2)', [name, hashMigration(up)])
      await client.query('commit')
    }
    await migrateQueues(client)
    return pending.map(({ name }) => name)
  } finally {
    await client.end()
  }
}

async function requireRoles(client: Client): Promise<void> {
  const { rows } = await client.query<{ role: string }>(
    'select role from unnest($1::text[]) as role where role not in (select rolname from pg_roles) order by role',
    [roles],
  )
  if (rows.length === 0) return
  const missing = rows.map(({ role }) => role).join(', ')
  throw new DatabaseError('refused', `These roles are missing: ${missing}. Make them first (docs/operations.md).`)
}

async function becomeOwner(client: Client): Promise<void> {
  try {
    await client.query('set role qflare_owner')
  } catch (cause) {
    throw new DatabaseError(
      'refused',
      'The migrator cannot become qflare_owner: grant qflare_migrator to this login (docs/operations.md).',
      { cause },
    )
  }
}

/**
 * A temporary table stands before ours of the same name, for all who get its connection next, whatever their organization. The
 * right is the database's, not the schema's: a copy of the database begins without it being taken. Of a database that
 * qflare_owner does not own this changes nothing, and `checkServer` says so.
 */
async function refuseTemporaryTables(client: Client): Promise<void> {
  await client.query(
    `do $$ begin execute format('revoke temporary on database %I from public', current_database()); end $$`,
  )
}

/** One of before this release has no column for hashes. It is added where it lacks, and not asked for at each start: that takes a lock. */
async function makeMigrationTable(client: Client): Promise<void> {
  await client.query(`create table if not exists schema_migration (
    name text primary key, applied_at timestamptz not null default clock_timestamp(), sha256 text)`)
  const { rows } = await client.query(
    `select from pg_attribute where attrelid = 'schema_migration'::regclass and attname = 'sha256' and not attisdropped`,
  )
  if (rows.length === 0) await client.query('alter table schema_migration add column sha256 text')
  await client.query(
    'grant select on schema_migration to qflare_api, qflare_worker, qflare_sequencer, qflare_auditor, qflare_queues',
  )
}

/** Throws `refused` for a schema that this release did not make, or made of other SQL. */
async function findPending(client: Client): Promise<string[]> {
  const { newer, missing, changed, unhashed } = await readAppliedMigrations(client)
  if (newer.length > 0) {
    throw new DatabaseError(
      'refused',
      `The schema is newer than this release: it has ${newer.join(', ')}. Start a release that knows them.`,
    )
  }
  if (changed.length > 0) throw new DatabaseError('refused', describeChanged(changed))
  await keepHashes(client, unhashed)
  return missing
}

/** Of what ran under a release that kept none, taken to be what this one has. */
async function keepHashes(client: Client, names: readonly string[]): Promise<void> {
  const known = migrations.filter(({ name }) => names.includes(name))
  await client.query(
    `update schema_migration m set sha256 = known.sha256 from unnest($1::text[], $2::text[]) as known (name, sha256)
      where m.name = known.name and m.sha256 is null`,
    [known.map(({ name }) => name), known.map(({ up }) => hashMigration(up))],
  )
}
