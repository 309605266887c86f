/** What an organization trusts and expects of evidence: trust anchors and reference values, which are added and removed, never changed. */
export const up = `
create type trust_anchor_kind as enum ('root', 'intermediate', 'key');

create table trust_anchor (
  organization_id uuid not null references organization (id),
  id uuid not null,
  format text not null,
  kind trust_anchor_kind not null,
  -- how evidence names it
  lookup_id text not null check (length(lookup_id) between 1 and 160),
  -- a certificate, or of a key the SubjectPublicKeyInfo
  der bytea not null check (length(der) between 1 and 8192),
  name display_name not null,
  -- over everything of the row that is above and below, so that a writer of the database can neither swap nor revive one
  mac bytea not null check (length(mac) = 32),
  mac_key_version bigint not null,
  -- when its MAC was seen to be wrong, at a rotation: it is not made anew
  mac_mismatched_at timestamptz,
  created_at timestamptz not null,
  -- it counts for nothing that is appraised from then on
  removed_at timestamptz check (removed_at >= created_at),
  primary key (organization_id, id)
);
create unique index trust_anchor_live on trust_anchor (organization_id, format, lookup_id, kind, sha256(der))
  where removed_at is null;
create index trust_anchor_lookup on trust_anchor (organization_id, format, lookup_id);
create index trust_anchor_mac_version on trust_anchor (mac_key_version, organization_id, id) where mac_mismatched_at is null;

create table reference_value (
  organization_id uuid not null references organization (id),
  id uuid not null,
  format text not null,
  -- what policies call it; several values of one name are alternatives
  name display_name not null,
  -- canonical JSON, of the format's schema
  body text not null check (length(body) between 2 and 65536),
  -- SHA-256 of the body, so that the same value is there once
  body_hash bytea not null check (length(body_hash) = 32),
  mac bytea not null check (length(mac) = 32),
  mac_key_version bigint not null,
  mac_mismatched_at timestamptz,
  created_at timestamptz not null,
  removed_at timestamptz check (removed_at >= created_at),
  primary key (organization_id, id)
);
create unique index reference_value_live on reference_value (organization_id, format, name, body_hash)
  where removed_at is null;
create index reference_value_name on reference_value (organization_id, format, name);
create index reference_value_mac_version on reference_value (mac_key_version, organization_id, id) where mac_mismatched_at is null;

select isolate_tenants(t) from unnest(array['trust_anchor', 'reference_value']::regclass[]) t;
grant select, insert, update (removed_at, mac, mac_key_version) on trust_anchor, reference_value to qflare_api;
grant select, update (mac, mac_key_version, mac_mismatched_at) on trust_anchor, reference_value to qflare_worker;

-- What was decided with a row has to be decided the same way years later: it is removed once, and otherwise only its MAC changes.
create function refuse_input_change() returns trigger language plpgsql set search_path = pg_catalog, public as $$
begin
  if tg_op = 'UPDATE' then
    if (to_jsonb(new) - array['mac', 'mac_key_version', 'mac_mismatched_at', 'removed_at'])
        = (to_jsonb(old) - array['mac', 'mac_key_version', 'mac_mismatched_at', 'removed_at'])
      and (old.removed_at is null or new.removed_at is not distinct from old.removed_at) then
      return new;
    end if;
  end if;
  raise exception 'trust anchors and reference values stay as they are: % is refused', tg_op using errcode = 'QF004';
end $$;
create trigger unchanging before update or delete on trust_anchor for each row execute function refuse_input_change();
create trigger unchanging_table before truncate on trust_anchor for each statement execute function refuse_input_change();
create trigger unchanging before update or delete on reference_value for each row execute function refuse_input_change();
create trigger unchanging_table before truncate on reference_value for each statement execute function refuse_input_change();

create policy rotate_keys on trust_anchor for select to qflare_jobs using (true);
create policy rotate_keys on reference_value for select to qflare_jobs using (true);
grant select (organization_id, id, mac_key_version, mac_mismatched_at) on trust_anchor, reference_value to qflare_jobs;

-- Rows whose MAC is under an older key, in order; what names them, and nothing else, crosses the tenants.
create function list_stale_trust_anchor_macs(below_version bigint, page_size integer)
returns table (organization_id uuid, id uuid)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select a.organization_id, a.id from trust_anchor a
    where a.mac_key_version < below_version and a.mac_mismatched_at is null
    order by a.mac_key_version, a.organization_id, a.id limit page_size;
end;
create function list_stale_reference_value_macs(below_version bigint, page_size integer)
returns table (organization_id uuid, id uuid)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select v.organization_id, v.id from reference_value v
    where v.mac_key_version < below_version and v.mac_mismatched_at is null
    order by v.mac_key_version, v.organization_id, v.id limit page_size;
end;

-- A key under which one of them has its MAC is not destroyed: destroy_kek finds that it did not hit.
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

revoke execute on function list_stale_trust_anchor_macs(bigint, integer), list_stale_reference_value_macs(bigint, integer),
  refuse_input_change(), keep_key_of_input_macs() from public;
grant execute on function list_stale_trust_anchor_macs(bigint, integer), list_stale_reference_value_macs(bigint, integer)
  to qflare_worker;
grant create on schema public to qflare_jobs;
alter function list_stale_trust_anchor_macs(bigint, integer) owner to qflare_jobs;
alter function list_stale_reference_value_macs(bigint, integer) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
`
