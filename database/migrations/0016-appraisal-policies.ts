/** What an organization wants of evidence: versions of policies, which are written once and never changed. */
export const up = `
create table appraisal_policy (
  organization_id uuid not null references organization (id),
  name text not null check (name ~ '^[a-z0-9][a-z0-9._-]{0,63}$' and name <> 'none'),
  -- they count up from 1, without a gap
  version integer not null check (version > 0),
  -- canonical JSON, exactly as it is hashed
  body text not null,
  mac bytea not null check (length(mac) = 32),
  mac_key_version bigint not null,
  -- when its MAC was seen to be wrong, at a rotation: somebody wrote to the database; it is not made anew
  mac_mismatched_at timestamptz,
  created_at timestamptz not null,
  primary key (organization_id, name, version)
);
select isolate_tenants('appraisal_policy');
create index appraisal_policy_mac_version on appraisal_policy (mac_key_version, organization_id, name, version)
  where mac_mismatched_at is null;

grant select, insert on appraisal_policy to qflare_api;
grant select, update (mac, mac_key_version, mac_mismatched_at) on appraisal_policy to qflare_worker;

-- What was decided by a version has to be decided the same way years later: only its MAC follows the keys of the custody.
create function refuse_policy_change() returns trigger language plpgsql set search_path = pg_catalog, public as $$
begin
  if tg_op = 'UPDATE' then
    if (new.organization_id, new.name, new.version, new.body, new.created_at)
      is not distinct from (old.organization_id, old.name, old.version, old.body, old.created_at) then
      return new;
    end if;
  end if;
  raise exception 'versions of appraisal policies stay as they are: % is refused', tg_op using errcode = 'QF004';
end $$;
create trigger unchanging before update or delete on appraisal_policy for each row execute function refuse_policy_change();
create trigger unchanging_table before truncate on appraisal_policy for each statement execute function refuse_policy_change();

create policy rotate_keys on appraisal_policy for select to qflare_jobs using (true);
grant select (organization_id, name, version, mac_key_version, mac_mismatched_at) on appraisal_policy to qflare_jobs;

-- Versions whose MAC is under an older key, in order; what names them, and nothing else, crosses the tenants.
create function list_stale_policy_macs(below_version bigint, page_size integer)
returns table (organization_id uuid, name text, version integer)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select p.organization_id, p.name, p.version from appraisal_policy p
    where p.mac_key_version < below_version and p.mac_mismatched_at is null
    order by p.mac_key_version, p.organization_id, p.name, p.version limit page_size;
end;

-- A key under which a policy has its MAC is not destroyed: destroy_kek finds that it did not hit, as with everything else that is used.
create function keep_key_of_policy_macs() returns trigger language plpgsql set search_path = pg_catalog, public as $$
begin
  if exists (select from public.appraisal_policy p where p.mac_key_version = old.version and p.mac_mismatched_at is null) then
    return null;
  end if;
  return new;
end $$;
create trigger keep_key_of_policy_macs before update on kek_version for each row
  when (new.status = 'DESTROYED' and old.purpose = 3) execute function keep_key_of_policy_macs();

revoke execute on function list_stale_policy_macs(bigint, integer), refuse_policy_change(), keep_key_of_policy_macs() from public;
grant execute on function list_stale_policy_macs(bigint, integer) to qflare_worker;
grant create on schema public to qflare_jobs;
alter function list_stale_policy_macs(bigint, integer) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
`
