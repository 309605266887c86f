import { Client, type ClientConfig } from 'pg'
import { DatabaseError } from './errors.ts'
import { requireDirect } from './find-pooler.ts'
import { migrateQueues } from './migrate-queues.ts'
import { migrations } from './migrations.ts'
import { roles } from './roles.ts'

/** Any number; the same in every release. */
const MIGRATION_LOCK = 7_236_417_001

/**
 * Brings the schema to this release. Two migrators at once are safe: the second waits and finds nothing to do. Returns the
 * names of what was applied. `refused` when the schema is newer than this release, the roles are missing,
 * or a pooler is in between.
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
    await client.query(`create table if not exists schema_migration (
      name text primary key, applied_at timestamptz not null default clock_timestamp())`)
    await client.query(
      'grant select on schema_migration to qflare_api, qflare_worker, qflare_sequencer, qflare_auditor, qflare_queues',
    )
    const applied = await appliedMigrations(client)
    const pending = migrations.filter(({ name }) => !applied.includes(name))
    for (const { name, up } of pending) {
      await client.query('begin')
      await client.query(up)
      await client.query('insert into schema_migration (name) values ($1)', [name])
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

async function appliedMigrations(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>('select name from schema_migration order by name')
  const names = rows.map((row) => row.name)
  const unknown = names.filter((name) => !migrations.some((migration) => migration.name === name))
  if (unknown.length > 0) {
    throw new DatabaseError(
      'refused',
      `The schema is newer than this release: it has ${unknown.join(', ')}. Start a release that knows them.`,
    )
  }
  return names
}
