/** Tenants, the directory that finds them by an id, and API tokens. */
export const up = `
create table organization (
  id uuid primary key,
  name text not null unique check (length(name) between 1 and 128),
  created_at timestamptz not null
);

-- What must be found before an organization is known: ids and nothing else. No RLS, on the list of exceptions.
create table directory (
  id uuid primary key,
  organization_id uuid not null references organization (id)
);

create table api_token (
  organization_id uuid not null references organization (id),
  id uuid not null,
  name text not null,
  roles text[] not null check (roles <@ array['admin', 'operator', 'coordinator', 'auditor']),
  service_admin boolean not null default false,
  secret_hash bytea not null check (length(secret_hash) = 32),
  created_at timestamptz not null,
  expires_at timestamptz,
  revoked_at timestamptz,
  primary key (organization_id, id)
);

create function current_organization() returns uuid language sql stable parallel safe
  return nullif(current_setting('qflare.organization_id', true), '')::uuid;

-- Raises unless a conditional change hit exactly one row, so that a pipelined transaction cannot commit without it.
create function expect_one(hits bigint) returns void language plpgsql as $$
begin
  if hits <> 1 then raise exception 'expected one row, hit %', hits using errcode = 'QF001'; end if;
end $$;

-- The two policies and the forced RLS of every tenant table; a migration calls it for each table that it makes.
create function isolate_tenants(tenant_table regclass, tenant_column name default 'organization_id') returns void
language plpgsql set search_path = pg_catalog, public as $$
begin
  execute format('alter table %s enable row level security', tenant_table);
  execute format('alter table %s force row level security', tenant_table);
  execute format('create policy tenant_only on %s as restrictive to qflare_api, qflare_worker, qflare_auditor
    using (%I = current_organization()) with check (%I = current_organization())', tenant_table, tenant_column, tenant_column);
  execute format('create policy tenant on %s as permissive to qflare_api, qflare_worker, qflare_auditor
    using (%I = current_organization()) with check (%I = current_organization())', tenant_table, tenant_column, tenant_column);
end $$;
revoke execute on function isolate_tenants(regclass, name) from public;

select isolate_tenants('organization', 'id');
select isolate_tenants('api_token');

grant usage on schema public to qflare_api, qflare_worker, qflare_sequencer, qflare_auditor, qflare_jobs;
grant select on organization to qflare_api, qflare_worker;
grant insert on organization to qflare_worker;
grant select, insert on directory to qflare_api, qflare_worker;
grant select on api_token to qflare_api, qflare_worker;
grant insert on api_token to qflare_worker;
`
