/** What is published about evidence from time to time, and has an end: revocation lists, statements of vendors. Added and removed, never changed. */
export const up = `
create table collateral (
  organization_id uuid not null references organization (id),
  id uuid not null,
  kind text not null check (length(kind) between 1 and 64),
  -- how evidence names it
  lookup_id text not null check (length(lookup_id) between 1 and 160),
  name display_name not null,
  issued_at timestamptz not null,
  -- from then on it is out of date; null where its kind names no end
  next_update_at timestamptz,
  -- as it was published
  body bytea not null check (length(body) between 1 and 3145728),
  -- SHA-256 of the body
  body_hash bytea not null check (length(body_hash) = 32),
  -- certificates in DER, from its signature towards a root
  chain bytea[] not null default '{}' check (cardinality(chain) <= 4),
  mac bytea not null check (length(mac) = 32),
  mac_key_version bigint not null,
  mac_mismatched_at timestamptz,
  created_at timestamptz not null,
  removed_at timestamptz check (removed_at >= created_at),
  primary key (organization_id, id)
);
alter table collateral alter column body set storage external;
create unique index collateral_live on collateral (organization_id, lookup_id) where removed_at is null;
create index collateral_lookup on collateral (organization_id, lookup_id);
create index collateral_mac_version on collateral (mac_key_version, organization_id, id) where mac_mismatched_at is null;

select isolate_tenants('collateral'::regclass);
grant select, insert, update (removed_at, mac, mac_key_version) on collateral to qflare_api;
grant select, update (mac, mac_key_version, mac_mismatched_at) on collateral to qflare_worker;

create trigger unchanging before update or delete on collateral for each row execute function refuse_input_change();
create trigger unchanging_table before truncate on collateral for each statement execute function refuse_input_change();

create policy rotate_keys on collateral for select to qflare_jobs using (true);
grant select (organization_id, id, mac_key_version, mac_mismatched_at) on collateral to qflare_jobs;

create function list_stale_collateral_macs(below_version bigint, page_size integer)
returns table (organization_id uuid, id uuid)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select c.organization_id, c.id from collateral c
    where c.mac_key_version < below_version and c.mac_mismatched_at is null
    order by c.mac_key_version, c.organization_id, c.id limit page_size;
end;

create or replace function keep_key_of_input_macs() returns trigger language plpgsql set search_path = pg_catalog, public as $$
begin
  if exists (select from public.trust_anchor a where a.mac_key_version = old.version and a.mac_mismatched_at is null)
    or exists (select from public.reference_value v where v.mac_key_version = old.version and v.mac_mismatched_at is null)
    or exists (select from public.collateral c where c.mac_key_version = old.version and c.mac_mismatched_at is null) then
    return null;
  end if;
  return new;
end $$;

revoke execute on function list_stale_collateral_macs(bigint, integer) from public;
grant execute on function list_stale_collateral_macs(bigint, integer) to qflare_worker;
grant create on schema public to qflare_jobs;
alter function list_stale_collateral_macs(bigint, integer) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
`
