import type { ClientConfig } from 'pg'
import { Client } from 'pg'
import { describeChanged, readAppliedMigrations } from './applied-migrations.ts'
import { DatabaseError } from './errors.ts'
import { isBehindPooler } from './find-pooler.ts'

/**
 * Refuses (`refused`) a server or a login that would break what QFLARE promises; the message names all reasons. A pooler in between
 * is one of them, unless `isPooled` says that it is known.
 */
export async function checkServer(connection: ClientConfig, role: string | undefined, isPooled = false): Promise<void> {
  const client = new Client({ ...connection, ...(role === undefined ? {} : { options: `-c role=${role}` }) })
  await client.connect()
  try {
    const reasons = [
      ...(await roleProblems(client)),
      ...(role === undefined ? await loginProblems(client) : []),
      ...(await durabilityProblems(client)),
      ...(isPooled ? [] : await poolerProblems(client)),
      ...(await schemaProblems(client)),
    ]
    if (reasons.length > 0) throw new DatabaseError('refused', `This PostgreSQL cannot be used: ${reasons.join(' ')}`)
  } finally {
    await client.end()
  }
}

async function roleProblems(client: Client): Promise<string[]> {
  const { rows } = await client.query<RoleFacts>(
    `select current_user as name, rolsuper, rolbypassrls, current_database() as database,
      has_database_privilege(current_user, current_database(), 'temporary') as temporary,
      (pg_has_role(current_user, 'qflare_owner', 'member')
        or current_user = (select tableowner from pg_tables where schemaname = 'public' and tablename = 'principal')) as owner
     from pg_roles where rolname = current_user`,
  )
  const role = rows[0]
  if (role === undefined) return ['The login’s role cannot be read.']
  const problems: string[] = []
  if (role.rolsuper) problems.push(`${role.name} is a superuser.`)
  if (role.rolbypassrls) problems.push(`${role.name} has BYPASSRLS.`)
  if (role.owner) problems.push(`${role.name} owns the schema, or can become its owner.`)
  if (role.temporary && !role.rolsuper && !role.owner) {
    problems.push(
      `${role.name} can make temporary tables, which would stand before ours: revoke temporary on database ${role.database} from public.`,
    )
  }
  return problems
}

interface RoleFacts {
  name: string
  database: string
  rolsuper: boolean
  rolbypassrls: boolean
  owner: boolean
  temporary: boolean
}

const workingRoles = ['qflare_api', 'qflare_worker', 'qflare_sequencer', 'qflare_auditor', 'qflare_queues']

/** A login of one's own has exactly one role, so that what reaches one role reaches no other. */
async function loginProblems(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ rolname: string }>(
    `select rolname from pg_roles where rolname = any ($1) and pg_has_role(current_user, oid, 'member')`,
    [workingRoles],
  )
  if (rows.length === 1) return []
  const held = rows.map(({ rolname }) => rolname).join(', ') || 'none'
  return [`Its login is a member of ${held}; it has to be a member of exactly one of ${workingRoles.join(', ')}.`]
}

async function durabilityProblems(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string; setting: string }>(
    `select name, setting from pg_settings where name in ('fsync', 'synchronous_commit', 'full_page_writes')`,
  )
  return rows.filter(({ setting }) => setting === 'off').map(({ name }) => `${name} is off.`)
}

/** It would keep prepared statements and settings that others get, or none of ours. */
async function poolerProblems(client: Client): Promise<string[]> {
  if (!(await isBehindPooler(client))) return []
  return ['A pooler is in between: set QFLARE_DATABASE_URL_DIRECT for one in transaction mode.']
}

async function schemaProblems(client: Client): Promise<string[]> {
  const readable = `select to_regclass('schema_migration') is not null
    and has_table_privilege(to_regclass('schema_migration'), 'select') as is_readable`
  const [privilege] = (await client.query<{ is_readable: boolean }>(readable)).rows
  if (privilege?.is_readable !== true)
    return ['Its migrations cannot be read: run them (qflare migrate), and give the login its role.']
  const { newer, missing, changed } = await readAppliedMigrations(client)
  return [
    ...(newer.length > 0 ? [`Its schema is newer than this release (${newer.join(', ')}).`] : []),
    ...(missing.length > 0 ? [`Its schema lacks ${missing.join(', ')}: run the migrations (qflare migrate).`] : []),
    ...(changed.length > 0 ? [describeChanged(changed)] : []),
  ]
}
