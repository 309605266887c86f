import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { type Client, DatabaseError } from 'pg'
import { insertStatement, insertTenantRows, makeTenantRows, type Row } from './tenant-rows.ts'

/** Tables without row-level security, and why. */
export const exceptions: Record<string, string> = {
  directory: 'what must be found before an organization is known: ids and nothing else',
  kek_version: 'the service’s own, sealed under the root key',
  signing_key: 'the service’s own, sealed',
  trust_bundle: 'public',
  trust_bundle_draft: 'the service’s own: what is public as soon as it is signed',
  temporal_key: 'the service’s own: numbers, hashes and dates',
  bucket_certificate: 'public',
  schema_migration: 'names of migrations',
  audit_log_state: 'the log’s own: numbers',
  monitor_state: 'the monitor’s own: a number',
  audit_tile: 'public: hashes, which salts keep from telling anything',
  audit_checkpoint: 'public',
  audit_cosignature: 'public',
  audit_partition: 'the log’s own: numbers and dates',
}

/** Tables of the audit log, whose auditors read what is the service's own too (`isolate_log`). */
const logTables = ['audit_entry', 'audit_event_id']

/** Policies beside those of every tenant table, as `listPolicies` writes them. */
export const otherPolicies = [
  'appraisal_policy rotate_keys: permissive r to qflare_jobs using (true)',
  'audit_event_id find_missing: permissive r to qflare_jobs using (true)',
  'audit_outbox sequence: permissive r to qflare_sequencer using (true)',
  'audit_outbox sequenced: permissive d to qflare_sequencer using (true)',
  "audit_outbox tell: permissive a to qflare_sequencer with check ((organization_id = '00000000-0000-0000-0000-000000000000'::uuid))",
  'attester_state rotate_keys: permissive r to qflare_jobs using (true)',
  'collateral list_ending: permissive r to qflare_jobs using (true)',
  'collateral_alarm list_ending: permissive r to qflare_jobs using (true)',
  'collateral rotate_keys: permissive r to qflare_jobs using (true)',
  'reference_value rotate_keys: permissive r to qflare_jobs using (true)',
  'trust_anchor rotate_keys: permissive r to qflare_jobs using (true)',
  'challenge rotate_keys: permissive r to qflare_jobs using (true)',
  'identity_key rotate_keys: permissive r to qflare_jobs using (true)',
  'incident count_open: permissive r to qflare_jobs using (true)',
  'identity_key list_unflagged: permissive r to qflare_jobs using (true)',
  'incident_notice list_due: permissive r to qflare_jobs using (true)',
  'organization list_organizations: permissive r to qflare_jobs using (true)',
  'principal list_overdue: permissive r to qflare_jobs using (true)',
  'revocation list_old: permissive r to qflare_jobs using (true)',
  'session count_epochs: permissive r to qflare_jobs using (true)',
]

/** Who is bound to one organization per transaction. */
export const tenantRoles = ['qflare_api', 'qflare_worker', 'qflare_auditor'] as const
export type TenantRole = (typeof tenantRoles)[number]

export interface TenantTable {
  name: string
  tenantColumn: 'id' | 'organization_id'
}

/** Two organizations with one row each in every tenant table. */
export interface Tenants {
  a: string
  b: string
  rowsOfB: Record<string, Row>
}

export async function makeTenants(superuser: Client): Promise<Tenants> {
  const [a, b] = [randomUUID(), randomUUID()]
  const rowsOfB = makeTenantRows(b)
  await insertTenantRows(superuser, makeTenantRows(a))
  await insertTenantRows(superuser, rowsOfB)
  return { a, b, rowsOfB }
}

interface CatalogueTable {
  name: string
  is_partition: boolean
  enabled: boolean
  forced: boolean
  is_granted: boolean
  has_organization: boolean
}

async function listTables(client: Client): Promise<CatalogueTable[]> {
  const { rows } = await client.query<CatalogueTable>(
    `select relname as name, relispartition as is_partition, relrowsecurity as enabled, relforcerowsecurity as forced,
        exists (select from aclexplode(relacl) where grantee <> relowner)
          or exists (select from pg_attribute where attrelid = c.oid and attacl is not null) as is_granted,
        exists (select from pg_attribute where attrelid = c.oid and attname = 'organization_id') as has_organization
      from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') order by relname`,
  )
  return rows
}

/** Every table that is neither a partition nor an exception. */
export async function listTenantTables(client: Client): Promise<TenantTable[]> {
  const tables = await listTables(client)
  return tables
    .filter(({ name, is_partition }) => !is_partition && exceptions[name] === undefined)
    .map(({ name }) => ({ name, tenantColumn: name === 'organization' ? 'id' : 'organization_id' }))
}

export async function listPolicies(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(
    `select regexp_replace(concat(polrelid::regclass, ' ', polname, ': ',
        case when polpermissive then 'permissive' else 'restrictive' end,
        ' ', polcmd, ' to ', (select string_agg(pg_get_userbyid(role), ', ' order by pg_get_userbyid(role))
          from unnest(polroles) as role),
        ' using (' || pg_get_expr(polqual, polrelid) || ')',
        ' with check (' || pg_get_expr(polwithcheck, polrelid) || ')'), '\\s+', ' ', 'g') as line
      from pg_policy order by polrelid::regclass::text, polname`,
  )
  return rows.map(({ line }) => line)
}

/** Where the catalogue differs from the rules of design/storage.md; empty when all is well. */
export async function findCatalogueProblems(client: Client): Promise<string[]> {
  const tables = await listTables(client)
  const tenantTables = await listTenantTables(client)
  const expected = listExpectedPolicies(tenantTables).sort()
  const found = (await listPolicies(client)).sort()
  return [
    ...tables.filter(isUnprotected).map(({ name }) => `${name}: RLS is not enabled and forced`),
    ...tables
      .filter((table) => table.is_partition && table.is_granted)
      .map(({ name }) => `${name}: is granted directly`),
    ...tables
      .filter(
        ({ name, has_organization }) => exceptions[name] !== undefined && has_organization && name !== 'directory',
      )
      .map(({ name }) => `${name}: holds rows of organizations, but is an exception`),
    ...Object.keys(exceptions)
      .filter((name) => !tables.some((table) => table.name === name))
      .map((name) => `${name}: is an exception, but no table`),
    ...expected.filter((policy) => !found.includes(policy)).map((policy) => `missing: ${policy}`),
    ...found.filter((policy) => !expected.includes(policy)).map((policy) => `unexpected: ${policy}`),
    ...(await findOpenings(client)),
  ]
}

function isUnprotected({ name, enabled, forced }: CatalogueTable): boolean {
  return exceptions[name] === undefined && !(enabled && forced)
}

/** All that there should be, as `listPolicies` writes them. */
export function listExpectedPolicies(tables: readonly TenantTable[]): string[] {
  return [...otherPolicies, ...tables.flatMap(policiesOf)]
}

function policiesOf({ name, tenantColumn }: TenantTable): string[] {
  const isOfLog = logTables.includes(name)
  const own = `((${tenantColumn} = current_organization()))`
  const seen = isOfLog ? '(is_readable_by_auditor(organization_id))' : own
  const rest = `* to qflare_api, qflare_auditor, qflare_worker using ${seen} with check ${own}`
  const policies = [`${name} tenant: permissive ${rest}`, `${name} tenant_only: restrictive ${rest}`]
  if (!isOfLog) return policies
  const published = '((index < ( SELECT audit_log_state.published_size FROM audit_log_state)))'
  return [
    ...policies,
    `${name} published: restrictive r to qflare_auditor using ${published}`,
    `${name} sequence: permissive r to qflare_sequencer using (true)`,
    `${name} append: permissive a to qflare_sequencer with check (true)`,
  ]
}

/** Views that look with their owner's eyes, and functions that anybody can run as their owner. */
async function findOpenings(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ problem: string }>(
    `select relname || ': is a view without security_invoker' as problem from pg_class
        where relnamespace = 'public'::regnamespace and (relkind = 'm'
          or relkind = 'v' and not coalesce(reloptions, '{}') @> array['security_invoker=true'])
      union all
      select proname || ': is a SECURITY DEFINER function that public may run, or without a search_path' from pg_proc
        where pronamespace = 'public'::regnamespace and prosecdef
          and (proconfig is null or not exists (select from unnest(proconfig) as s where s like 'search_path=pg_catalog%')
            or exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee = 0))`,
  )
  return rows.map(({ problem }) => problem)
}

/** How a statement can end; `organizations`: of the rows that it returned. */
type Outcome = { count: number; organizations: string[] } | { refused: string } | { changed: 'rows of B' }

interface Actor {
  role: string
  organizationId: string
}

interface Statement {
  text: string
  values?: unknown[]
}

/**
 * Everything that one role can do wrong with one table, by doing it, each in a savepoint of its own; empty when all is well.
 * The role gets every right on the table, and its triggers are off, so that nothing but the policies stands in the way. The client is a superuser's,
 * in a transaction that the caller rolls back.
 */
export async function findLeaks(
  client: Client,
  { name: table, tenantColumn: column }: TenantTable,
  role: TenantRole,
  { a, b, rowsOfB }: Tenants,
): Promise<string[]> {
  const row = rowsOfB[table]
  if (row === undefined) return [`${table}: has no row in tests/support/tenant-rows.ts`]
  await client.query(`grant select, insert, update, delete on ${table} to ${role}`)
  // What is append-only would refuse everything before the policies are asked.
  await client.query(`alter table ${table} disable trigger user`)
  const problems: string[] = []
  const hashOfB = async () => {
    const text = `select md5(string_agg(t::text, ',' order by t::text)) as hash from ${table} t where ${column} = $1`
    return (await client.query<{ hash: string | null }>(text, [b])).rows[0]?.hash
  }
  const before = await hashOfB()
  async function check(actor: Actor, statement: Statement, ...allowed: Outcome[]): Promise<void> {
    const outcome = await attempt(client, actor, statement, async () => (await hashOfB()) === before)
    if (allowed.some((one) => isDeepStrictEqual(one, outcome))) return
    problems.push(`${table}: ${actor.role} of ${actor.organizationId}: ${statement.text}: ${JSON.stringify(outcome)}`)
  }

  const c = randomUUID()
  const rowsOfC = makeTenantRows(c)
  const rowOfC = rowsOfC[table] as Row
  const select = `select ${column} as organization from ${table}`
  const back = `returning ${column} as organization`
  const touch = `update ${table} set ${column} = ${column}`
  const overwrite = `on conflict (${await primaryKeyOf(client, table)}) do update set ${column} = excluded.${column}`
  const own = { count: 1, organizations: [a] }
  const nothing = { count: 0, organizations: [] }
  const refused = { refused: INSUFFICIENT_PRIVILEGE }
  const asA = { role, organizationId: a }
  const asNobody = { role, organizationId: '' }

  await check(asA, { text: select }, own)
  await check(asA, { text: `${select} for update` }, own)
  await check(asA, { text: `${touch} ${back}` }, own)
  await check(asA, { text: `${touch} where ${column} = '${b}' ${back}` }, nothing)
  await check(asA, { text: `update ${table} set ${column} = '${b}' where ${column} = '${a}' ${back}` }, refused)
  await check(asA, { text: `delete from ${table} where ${column} = '${b}' ${back}` }, nothing)
  await check(asA, insertStatement(table, makeTenantRows(b)[table] as Row, back), refused)
  await check(asA, insertStatement(table, row, `on conflict do nothing ${back}`), refused)
  await check(asA, insertStatement(table, row, `${overwrite} ${back}`), refused)
  // a parent that A does not have, or a key that B has: whatever comes of it, it does not come to B
  const disguised = insertStatement(table, { ...row, [column]: a }, `${overwrite} ${back}`)
  await check(asA, disguised, own, refused, { refused: FOREIGN_KEY_VIOLATION })

  await check(asNobody, { text: select }, nothing)
  await check(asNobody, insertStatement(table, rowOfC), refused)
  await check(asNobody, { text: `${touch} ${back}` }, nothing)
  await check(asNobody, { text: `delete from ${table} ${back}` }, nothing)
  await check({ role: 'qflare_owner', organizationId: '' }, { text: select }, nothing)

  for (const [parent, parentRow] of Object.entries(rowsOfC)) {
    if (parent === table) break
    await client.query(insertStatement(parent, parentRow))
  }
  const insert = insertStatement(table, rowOfC, back)
  await check({ role, organizationId: c }, insert, { count: 1, organizations: [c] })
  return problems
}

const INSUFFICIENT_PRIVILEGE = '42501'
const FOREIGN_KEY_VIOLATION = '23503'

async function primaryKeyOf(client: Client, table: string): Promise<string> {
  const { rows } = await client.query<{ columns: string }>(
    `select string_agg(attname, ', ') as columns from pg_index
      join pg_attribute on attrelid = indrelid and attnum = any (indkey)
      where indrelid = $1::regclass and indisprimary`,
    [table],
  )
  return (rows[0] as { columns: string }).columns
}

/** One statement as somebody else, in a savepoint; nothing of it stays. */
async function attempt(
  client: Client,
  { role, organizationId }: Actor,
  statement: Statement,
  isUnchanged: () => Promise<boolean>,
): Promise<Outcome> {
  await client.query('savepoint attempt')
  try {
    await client.query(`select set_config('qflare.organization_id', $1, true)`, [organizationId])
    await client.query(`set local role ${role}`)
    const { rows, rowCount } = await client.query<{ organization: string }>(statement)
    await client.query('reset role')
    if (!(await isUnchanged())) return { changed: 'rows of B' }
    return { count: rowCount ?? 0, organizations: [...new Set(rows.map(({ organization }) => organization))] }
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    return { refused: error.code ?? '' }
  } finally {
    await client.query('rollback to savepoint attempt')
  }
}
