import { randomUUID } from 'node:crypto'
import type { Client } from 'pg'
import { insertTenantRows, makeTenantRows, type Row } from './tenant-rows.ts'

/** Tables without row-level security, and why. */
export const exceptions: Record<string, string> = {
  directory: 'what must be found before an organization is known: ids and nothing else',
  kek_version: 'the service’s own, sealed under the root key',
  signing_key: 'the service’s own, sealed',
  trust_bundle: 'public',
  trust_bundle_draft: 'the service’s own: what is public as soon as it is signed',
  temporal_key: 'the service’s own: numbers, hashes and dates',
  bucket_certificate: 'public',
  schema_migration: 'names of migrations, and hashes of their SQL',
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
  'attestation_result find_relied: permissive r to qflare_jobs using (true)',
  'attester_state rotate_keys: permissive r to qflare_jobs using (true)',
  'collateral list_ending: permissive r to qflare_jobs using (true)',
  'collateral_alarm list_ending: permissive r to qflare_jobs using (true)',
  'collateral rotate_keys: permissive r to qflare_jobs using (true)',
  'reference_value rotate_keys: permissive r to qflare_jobs using (true)',
  'trust_anchor rotate_keys: permissive r to qflare_jobs using (true)',
  'challenge rotate_keys: permissive r to qflare_jobs using (true)',
  'enrollment_token list_old: permissive r to qflare_jobs using (true)',
  'evidence find_relied: permissive r to qflare_jobs using (true)',
  'identity_key rotate_keys: permissive r to qflare_jobs using (true)',
  'device_network list_old: permissive r to qflare_jobs using (true)',
  'incident count_open: permissive r to qflare_jobs using (true)',
  'incident list_old: permissive r to qflare_jobs using (true)',
  'identity_key list_unflagged: permissive r to qflare_jobs using (true)',
  'api_token list_ending: permissive r to qflare_jobs using (true)',
  'incident_notice list_due: permissive r to qflare_jobs using (true)',
  'kept_attestation_result find_relied: permissive r to qflare_jobs using (true)',
  'monitor_signal list_old: permissive r to qflare_jobs using (true)',
  'organization list_organizations: permissive r to qflare_jobs using (true)',
  'principal list_overdue: permissive r to qflare_jobs using (true)',
  'revocation list_old: permissive r to qflare_jobs using (true)',
  'round find_relied: permissive r to qflare_jobs using (true)',
  'round_participant find_relied: permissive r to qflare_jobs using (true)',
  'session count_epochs: permissive r to qflare_jobs using (true)',
  'threat_score list_old: permissive r to qflare_jobs using (true)',
]

/** What runs as its owner, past the policies, for a role that is bound to one organization: what it tells or does, and why it may. */
export const definerFunctions: Record<string, string> = {
  'qflare_api list_organizations': 'ids and names, for administrators of the service, who see all organizations',
  'qflare_api reserve_kek_uses': 'the service’s own: a number, which only grows',
  'qflare_api store_signed_draft':
    'the service’s own: makes a trust bundle of the draft that is there, and of nothing else',
  'qflare_auditor find_missing_events': 'numbers of entries',
  'qflare_worker count_ending_api_tokens': 'a number',
  'qflare_worker count_open_sessions': 'numbers',
  'qflare_worker count_stale_identity_macs': 'a number',
  'qflare_worker destroy_kek': 'the service’s own: a key that nothing is sealed under',
  'qflare_worker drop_attestation_partition': 'results and evidence of long ago that nobody relies on',
  'qflare_worker drop_session_partition': 'sessions of a day that have all ended, long ago',
  'qflare_worker forget_directory_entries': 'nothing: ids of its own organization',
  'qflare_worker find_organization': 'the id to a name, for the first start and for recovery',
  'qflare_worker is_kek_used': 'yes or no',
  'qflare_worker count_open_incidents': 'numbers',
  'qflare_worker list_due_incident_notices': 'ids',
  'qflare_worker list_ended_sessions': 'ids',
  'qflare_worker list_ending_api_tokens': 'ids',
  'qflare_worker list_untold_collateral': 'ids',
  'qflare_worker summarize_collateral': 'kinds, numbers and times',
  'qflare_worker list_old_counts': 'ids of organizations',
  'qflare_worker list_old_incidents': 'ids',
  'qflare_worker list_old_revocations': 'ids of organizations',
  'qflare_worker list_open_buckets': 'numbers',
  'qflare_worker list_overdue_attestations': 'ids',
  'qflare_worker list_relied_results': 'ids',
  'qflare_worker list_unneeded_results': 'ids',
  'qflare_worker list_unused_tokens': 'ids',
  'qflare_worker list_stale_attester_macs': 'ids, names of formats',
  'qflare_worker list_stale_collateral_macs': 'ids',
  'qflare_worker list_stale_identity_macs': 'ids',
  'qflare_worker list_stale_policy_macs': 'ids: a policy is known by its name and version',
  'qflare_worker list_stale_reference_value_macs': 'ids',
  'qflare_worker list_stale_trust_anchor_macs': 'ids',
  'qflare_worker list_unflagged_identity_keys': 'ids',
  'qflare_worker make_attestation_partition': 'empty tables, behind the policies',
  'qflare_worker make_session_partition': 'an empty table, behind the policies',
  'qflare_worker reserve_kek_uses': 'as for qflare_api',
  'qflare_worker store_signed_draft': 'as for qflare_api',
}

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

/** Ways past the policies: views that look with their owner's eyes, functions that run as their owner, other schemas. */
async function findOpenings(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ problem: string }>(
    `select relname || ': is a view without security_invoker' as problem from pg_class
        where relnamespace = 'public'::regnamespace and (relkind = 'm'
          or relkind = 'v' and not coalesce(reloptions, '{}') @> array['security_invoker=true'])
      union all
      select proname || ': is a SECURITY DEFINER function that public may run, or without a search_path' from pg_proc
        where pronamespace = 'public'::regnamespace and prosecdef
          and (proconfig is null or not exists (select from unnest(proconfig) as s where s like 'search_path=pg_catalog%')
            or exists (select from aclexplode(coalesce(proacl, acldefault('f', proowner))) where grantee = 0))
      union all
      select role || ' ' || proname || ': is a SECURITY DEFINER function on no list' from pg_proc, unnest($1::text[]) as role
        where prosecdef and has_function_privilege(role, pg_proc.oid, 'execute') and role || ' ' || proname <> all ($2)
      union all
      select role || ': may use schema ' || nspname from pg_namespace, unnest($1::text[]) as role
        where has_schema_privilege(role, oid, 'usage') and nspname not in ('public', 'pg_catalog', 'information_schema')
      union all
      select role || ': may make objects in schema ' || nspname from pg_namespace, unnest($1::text[]) as role
        where has_schema_privilege(role, oid, 'create')
      union all
      select role || ': may make temporary tables' from unnest($1::text[]) as role
        where has_database_privilege(role, current_database(), 'temporary')`,
    [tenantRoles, Object.keys(definerFunctions)],
  )
  return rows.map(({ problem }) => problem)
}
