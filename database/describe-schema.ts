import type { Client } from 'pg'
import { roles } from './roles.ts'

/**
 * The schema as the catalogue of a migrated database has it, as readable SQL in a fixed order. Partitions are left out:
 * they differ from day to day. `client` is a superuser's, so that nothing is hidden from it.
 */
export async function describeSchema(client: Client): Promise<string> {
  const sections = [
    ['-- Written by `npm run schema` from the catalogue of a migrated database. Read it; change it by a migration.'],
    await listRoles(client),
    await listSchemas(client),
    await listTypes(client),
    await listFunctions(client),
    ...(await describeRelations(client)),
  ]
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`
}

/** Everything of the system, of extensions and of a session stays out. */
const OURS = `nspname not in ('pg_catalog', 'information_schema', 'pg_toast') and nspname not like 'pg\\_temp%'
  and nspname not like 'pg\\_toast\\_temp%'`

/** What is in the schema of the queues is BullMQ's, of its own version. */
const NOT_OF_QUEUES = `nspname <> 'bullmq'`

async function readLines(client: Client, text: string, values: unknown[] = []): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(text, values)
  return rows.map(({ line }) => line)
}

async function listRoles(client: Client): Promise<string[]> {
  const attributes = await readLines(
    client,
    `select format('create role %I%s', rolname, concat(
        case when rolcanlogin then ' login' else ' nologin' end,
        case when rolsuper then ' superuser' end,
        case when rolbypassrls then ' bypassrls' end,
        case when rolcreaterole then ' createrole' end,
        case when rolcreatedb then ' createdb' end,
        case when rolreplication then ' replication' end)) || ';' as line
      from pg_roles where rolname = any ($1) order by array_position($1, rolname::text)`,
    [roles],
  )
  const memberships = await readLines(
    client,
    `select format('grant %I to %I with inherit %s, set %s, admin %s;',
        r.rolname, m.rolname, inherit_option::text, set_option::text, admin_option::text) as line
      from pg_auth_members a join pg_roles r on r.oid = a.roleid join pg_roles m on m.oid = a.member
      where r.rolname = any ($1) and m.rolname = any ($1) order by r.rolname, m.rolname`,
    [roles],
  )
  return [...attributes, ...memberships]
}

async function listSchemas(client: Client): Promise<string[]> {
  return readLines(
    client,
    `select format('-- schema %I, of %s', nspname, pg_get_userbyid(nspowner)) as line, nspname, 0 as step, '' as grantee
        from pg_namespace where ${OURS}
      union all
      select format('grant %s on schema %I to %s;', string_agg(lower(privilege_type), ', ' order by privilege_type),
          nspname, ${granteeName}), nspname, 1, ${granteeName}
        from pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) as acl
        where ${OURS} and acl.grantee <> nspowner
        group by nspname, acl.grantee
      union all
      select format('alter default privileges for role %I in schema %I grant %s on %s to %s;',
          pg_get_userbyid(defaclrole), nspname, string_agg(lower(privilege_type), ', ' order by privilege_type),
          case defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
            when 'T' then 'types' else 'schemas' end, ${granteeName}), nspname, 2, concat(defaclobjtype, ' ', ${granteeName})
        from pg_default_acl join pg_namespace n on n.oid = defaclnamespace, aclexplode(defaclacl) as acl
        where ${OURS} group by nspname, defaclrole, defaclobjtype, acl.grantee
      order by nspname, step, grantee`,
  )
}

const granteeName = `case acl.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(acl.grantee)) end`

async function listTypes(client: Client): Promise<string[]> {
  return readLines(
    client,
    `select format('create type %s as enum (%s);', t.oid::regtype,
        (select string_agg(quote_literal(enumlabel), ', ' order by enumsortorder) from pg_enum where enumtypid = t.oid))
        as line
      from pg_type t join pg_namespace n on n.oid = typnamespace where ${OURS} and ${NOT_OF_QUEUES} and typtype = 'e'
      union all
      select format('create domain %s as %s%s%s;', t.oid::regtype, format_type(typbasetype, typtypmod),
        ' default ' || typdefault,
        (select string_agg(' ' || pg_get_constraintdef(c.oid), '' order by conname) from pg_constraint c
          where contypid = t.oid))
      from pg_type t join pg_namespace n on n.oid = typnamespace where ${OURS} and ${NOT_OF_QUEUES} and typtype = 'd'
      order by line`,
  )
}

async function listFunctions(client: Client): Promise<string[]> {
  const { rows } = await client.query<{
    definition: string
    owner: string
    signature: string
    grantees: string | null
  }>(
    `select trim(trailing e'\\n' from pg_get_functiondef(p.oid)) as definition, pg_get_userbyid(proowner) as owner,
        p.oid::regprocedure::text as signature,
        (select string_agg(${granteeName}, ', ' order by ${granteeName})
          from aclexplode(coalesce(proacl, acldefault('f', proowner))) as acl where acl.grantee <> proowner) as grantees
      from pg_proc p join pg_namespace n on n.oid = pronamespace
      where ${OURS} and ${NOT_OF_QUEUES} and prokind in ('f', 'p') order by signature`,
  )
  return rows.flatMap(({ definition, owner, signature, grantees }, index) => [
    ...(index === 0 ? [] : ['']),
    `${definition};`,
    `-- of ${owner}; may be executed by ${grantees ?? 'nobody else'}: ${signature}`,
  ])
}

interface Relation {
  oid: number
  name: string
  kind: 'table' | 'view' | 'materialized view' | 'sequence' | 'foreign table'
  owner: string
  /** After the closing parenthesis of a table. */
  suffix: string
  definition: string | null
  rls: boolean
  forced: boolean
}

async function describeRelations(client: Client): Promise<string[][]> {
  const { rows } = await client.query<Relation>(
    `select c.oid::int8::int4 as oid, c.oid::regclass::text as name, pg_get_userbyid(relowner) as owner,
        case when relkind in ('r', 'p') then 'table' when relkind = 'v' then 'view' when relkind = 'm'
          then 'materialized view' when relkind = 'S' then 'sequence' else 'foreign table' end as kind,
        concat(' partition by ' || pg_get_partkeydef(c.oid), ' with (' || array_to_string(reloptions, ', ') || ')',
          case relpersistence when 'u' then ' unlogged' end) as suffix,
        case when relkind in ('v', 'm') then pg_get_viewdef(c.oid) end as definition,
        relrowsecurity as rls, relforcerowsecurity as forced
      from pg_class c join pg_namespace n on n.oid = relnamespace
      where ${OURS} and ${NOT_OF_QUEUES} and relkind in ('r', 'p', 'v', 'm', 'S', 'f') and not relispartition
        -- the sequence behind an identity column is told with the column
        and not (relkind = 'S' and exists
          (select from pg_depend where objid = c.oid and classid = 'pg_class'::regclass and deptype = 'i'))
      order by name`,
  )
  const described: string[][] = []
  for (const relation of rows) described.push(await describeRelation(client, relation))
  return described
}

async function describeRelation(client: Client, relation: Relation): Promise<string[]> {
  const { oid, name, kind, owner, suffix, definition } = relation
  const body = [...(await listColumns(client, oid)), ...(await listConstraints(client, oid))]
  const head =
    kind === 'table'
      ? [`create table ${name} (`, body.map((line) => `  ${line}`).join(',\n'), `)${suffix};`]
      : [`create ${kind} ${name}${suffix}${definition === null ? ';' : ` as\n${definition}`}`]
  return [
    ...head,
    `alter table ${name} owner to ${owner};`,
    ...(await listIndexes(client, oid)),
    ...(await listTriggers(client, oid)),
    ...(relation.rls ? [`alter table ${name} enable row level security;`] : []),
    ...(relation.forced ? [`alter table ${name} force row level security;`] : []),
    ...(await listPolicies(client, oid)),
    ...(await listGrants(client, oid)),
  ]
}

async function listColumns(client: Client, oid: number): Promise<string[]> {
  return readLines(
    client,
    `select concat(quote_ident(attname), ' ', format_type(atttypid, atttypmod),
        case when attnotnull then ' not null' end,
        case attgenerated when 's' then ' generated always as (' || pg_get_expr(adbin, adrelid) || ') stored'
          when 'v' then ' generated always as (' || pg_get_expr(adbin, adrelid) || ')'
          else ' default ' || pg_get_expr(adbin, adrelid) end,
        case attidentity when 'a' then ' generated always as identity' when 'd' then ' generated by default as identity' end,
        case when attidentity <> '' then (select format(' (start %s increment %s cache %s)', seqstart, seqincrement,
          seqcache) from pg_sequence where seqrelid = pg_get_serial_sequence(attrelid::regclass::text, attname)::regclass)
          end) as line
      from pg_attribute left join pg_attrdef on adrelid = attrelid and adnum = attnum
      where attrelid = $1 and attnum > 0 and not attisdropped order by attnum`,
    [oid],
  )
}

/** Without the not-null constraints, which stand with the columns. */
async function listConstraints(client: Client, oid: number): Promise<string[]> {
  return readLines(
    client,
    `select format('constraint %I %s', conname, pg_get_constraintdef(oid)) as line
      from pg_constraint where conrelid = $1 and contype <> 'n'
      order by array_position(array['p', 'u', 'f', 'c', 'x', 't']::text[], contype::text), conname`,
    [oid],
  )
}

/** Without those that a constraint brings. */
async function listIndexes(client: Client, oid: number): Promise<string[]> {
  return readLines(
    client,
    `select pg_get_indexdef(indexrelid) || ';' as line from pg_index
      where indrelid = $1 and not exists (select from pg_constraint where conindid = indexrelid and conrelid = $1)
      order by indexrelid::regclass::text`,
    [oid],
  )
}

async function listTriggers(client: Client, oid: number): Promise<string[]> {
  return readLines(
    client,
    `select pg_get_triggerdef(oid) || ';' || case tgenabled when 'O' then '' else ' -- enabled: ' || tgenabled::text end
        as line
      from pg_trigger where tgrelid = $1 and not tgisinternal order by tgname`,
    [oid],
  )
}

async function listPolicies(client: Client, oid: number): Promise<string[]> {
  return readLines(
    client,
    `select concat(format('create policy %I on %s as %s for %s to %s', polname, polrelid::regclass,
        case when polpermissive then 'permissive' else 'restrictive' end,
        case polcmd when '*' then 'all' when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
          else 'delete' end,
        (select string_agg(case role when 0 then 'public' else quote_ident(pg_get_userbyid(role)) end, ', '
          order by pg_get_userbyid(role)) from unnest(polroles) as role)),
        e'\\n  using (' || pg_get_expr(polqual, polrelid) || ')',
        e'\\n  with check (' || pg_get_expr(polwithcheck, polrelid) || ')', ';') as line
      from pg_policy where polrelid = $1 order by polname`,
    [oid],
  )
}

/** Of the table, then of single columns; the owner's own rights are not told. */
async function listGrants(client: Client, oid: number): Promise<string[]> {
  return readLines(
    client,
    `with granted as (
        select acl.grantee, acl.privilege_type, acl.is_grantable, null::name as column_name, null::int as position
          from pg_class, aclexplode(relacl) as acl where oid = $1 and acl.grantee <> relowner
        union all
        select acl.grantee, acl.privilege_type, acl.is_grantable, attname, attnum
          from pg_attribute join pg_class on pg_class.oid = attrelid, aclexplode(attacl) as acl
          where attrelid = $1 and acl.grantee <> relowner
      ), per_privilege as (
        select grantee, is_grantable, column_name is not null as of_columns, lower(privilege_type) || coalesce(' (' ||
          string_agg(quote_ident(column_name), ', ' order by position) || ')', '') as privilege
        from granted group by grantee, is_grantable, privilege_type, column_name is not null
      )
      select format('grant %s on %s to %s%s;', string_agg(privilege, ', ' order by privilege), $1::oid::regclass,
          ${granteeName}, case when is_grantable then ' with grant option' end) as line
        from per_privilege as acl group by acl.grantee, is_grantable, of_columns
        order by of_columns, ${granteeName}, is_grantable`,
    [oid],
  )
}
