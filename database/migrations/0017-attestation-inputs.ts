/** What an organization trusts and expects: rows that are written once and removed by a time, so that a verdict of the past can be had again. */
export const up = `
create table trust_anchor (
  organization_id uuid not null references organization (id),
  id uuid not null,
  format text not null,
  kind text not null check (kind in ('root', 'intermediate', 'key')),
  -- how evidence names it
  lookup_id text not null check (length(lookup_id) between 1 and 160),
  -- a certificate, or the SubjectPublicKeyInfo of a key
  der bytea not null check (length(der) between 1 and 65536),
  -- SHA-256 of it
  fingerprint bytea not null check (length(fingerprint) = 32),
  label text,
  mac bytea not null check (length(mac) = 32),
  mac_key_version bigint not null,
  -- when its MAC was seen to be wrong, at a rotation: somebody wrote to the database; it is not made anew
  mac_mismatched_at timestamptz,
  created_at timestamptz not null,
  removed_at timestamptz,
  primary key (organization_id, id)
);
select isolate_tenants('trust_anchor');
create index trust_anchor_lookup on trust_anchor (organization_id, format, lookup_id);
create unique index trust_anchor_once on trust_anchor (organization_id, format, kind, lookup_id, fingerprint) where removed_at is null;
create index trust_anchor_mac_version on trust_anchor (mac_key_version, organization_id, id) where mac_mismatched_at is null;

create table reference_value (
  organization_id uuid not null references organization (id),
  id uuid not null,
  format text not null,
  name text not null,
  -- canonical JSON
  body text not null,
  -- SHA-256 of it
  fingerprint bytea not null check (length(fingerprint) = 32),
  mac bytea not null check (length(mac) = 32),
  mac_key_version bigint not null,
  mac_mismatched_at timestamptz,
  created_at timestamptz not null,
  removed_at timestamptz,
  primary key (organization_id, id)
);
select isolate_tenants('reference_value');
create unique index reference_value_once on reference_value (organization_id, format, name, fingerprint) where removed_at is null;
create index reference_value_name on reference_value (organization_id, format, name);
create index reference_value_mac_version on reference_value (mac_key_version, organization_id, id) where mac_mismatched_at is null;

grant select, insert, update (removed_at) on trust_anchor, reference_value to qflare_api;
grant select, update (mac, mac_key_version, mac_mismatched_at) on trust_anchor, reference_value to qflare_worker;

create policy rotate_keys on trust_anchor for select to qflare_jobs using (true);
create policy rotate_keys on reference_value for select to qflare_jobs using (true);
grant select (organization_id, id, mac_key_version, mac_mismatched_at) on trust_anchor, reference_value to qflare_jobs;

-- Rows whose MAC is under an older key; what names them, and nothing else, crosses the tenants.
create function list_stale_input_macs(below_version bigint, page_size integer)
returns table (organization_id uuid, input text, id uuid)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  (select a.organization_id, 'trust_anchor', a.id from trust_anchor a
    where a.mac_key_version < below_version and a.mac_mismatched_at is null
    order by a.mac_key_version, a.organization_id, a.id limit page_size)
  union all
  (select v.organization_id, 'reference_value', v.id from reference_value v
    where v.mac_key_version < below_version and v.mac_mismatched_at is null
    order by v.mac_key_version, v.organization_id, v.id limit page_size);
end;

-- A key under which something has its MAC is not destroyed: destroy_kek finds that it did not hit.
create function keep_key_of_input_macs() returns trigger language plpgsql set search_path = pg_catalog, public as $$
begin
  if exists (select from public.trust_anchor a where a.mac_key_version = old.version and a.mac_mismatched_at is null)
    or exists (select from public.reference_value v where v.mac_key_version = old.version and v.mac_mismatched_at is null) then
    return null;
  end if;
  return new;
end $$;
create trigger keep_key_of_input_macs before update on kek_version for each row
  when (new.status = 'DESTROYED' and old.purpose = 3) execute function keep_key_of_input_macs();

revoke execute on function list_stale_input_macs(bigint, integer), keep_key_of_input_macs() from public;
grant execute on function list_stale_input_macs(bigint, integer) to qflare_worker;
grant create on schema public to qflare_jobs;
alter function list_stale_input_macs(bigint, integer) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
`
