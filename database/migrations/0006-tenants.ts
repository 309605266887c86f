/** Organizations and API tokens are made over the API; devices have labels to sort a fleet by, and can be changed. */
export const up = `
create domain device_label as text check (value ~ '^[a-z0-9._-]{1,64}$');
-- A set, kept in order. No element may be null, empty or anything but a label.
create domain device_capabilities as text[] check (cardinality(value) <= 32 and '' <> all (value)
  and array_to_string(value, ' ', '!') ~ '^([a-z0-9._-]{1,64}( [a-z0-9._-]{1,64})*)?$');

alter table principal add column type device_label, add column capabilities device_capabilities not null default '{}';
alter table enrollment_token
  add column type device_label, add column capabilities device_capabilities not null default '{}';

-- What lists filter by. Behind row-level security only leakproof operators search an index: those of text and uuid do, those of
-- enums and arrays do not, so that a status or a kind needs an index of its own, and a capability has none.
-- last_seen_at has none either: every exchange writes it, and an index of it would make that a write to every index.
create index principal_type on principal (organization_id, type, id) where type is not null;
create index principal_name on principal (organization_id, name collate "C", id);
create index principal_coordinators on principal (organization_id, id) where kind = 'coordinator';
create index principal_held on principal (organization_id, id) where status in ('PENDING', 'QUARANTINED', 'SUSPENDED');
create index principal_revoked on principal (organization_id, id) where status = 'REVOKED';
create index enrollment_token_unused on enrollment_token (organization_id, id) where used_at is null and revoked_at is null;

grant update (name, type, capabilities, metadata) on principal to qflare_api;
grant insert on organization to qflare_api;
-- Without service_admin: no statement of the API makes an administrator of the service.
grant insert (organization_id, id, name, roles, secret_hash, created_at, expires_at) on api_token to qflare_api;
grant update (revoked_at) on api_token to qflare_api;

-- The organizations themselves, newest first: all that an administrator of the service sees of other tenants.
create policy list_organizations on organization for select to qflare_jobs using (true);
grant select on organization to qflare_jobs;
create function list_organizations(before_id uuid, page_size integer)
returns table (id uuid, name text, created_at timestamptz)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select o.id, o.name, o.created_at from organization o
    where o.id < coalesce(before_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff') order by o.id desc limit page_size;
end;
revoke execute on function list_organizations(uuid, integer) from public;
grant execute on function list_organizations(uuid, integer) to qflare_api;
grant create on schema public to qflare_jobs;
alter function list_organizations(uuid, integer) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
`
