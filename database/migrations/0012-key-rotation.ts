/**
 * Keys of the service follow each other. A signing key is published in a trust bundle before it signs; when it is retired its seed is
 * erased, and its row stays, for what it signed. A key-encryption key is retired when the next version seals, and destroyed when
 * nothing is sealed under it any more.
 */
export const up = `
alter table signing_key drop constraint signing_key_status_check;
alter table signing_key add constraint signing_key_status_check check (status in ('PUBLISHED', 'ACTIVE', 'RETIRED'));
alter table signing_key alter column sealed_seed drop not null;
alter table signing_key
  add column published_at timestamptz, add column activated_at timestamptz, add column retired_at timestamptz;
update signing_key set published_at = not_before, activated_at = not_before,
  retired_at = case when status = 'RETIRED' then not_after end,
  sealed_seed = case when status <> 'RETIRED' then sealed_seed end;
alter table signing_key alter column published_at set not null;
alter table signing_key add constraint signing_key_is_sound check ((status = 'PUBLISHED') = (activated_at is null)
  and (status = 'RETIRED') = (retired_at is not null) and (status = 'RETIRED') = (sealed_seed is null));
-- Of each use and algorithm one successor at a time, beside the one that signs.
create unique index signing_key_published on signing_key (key_use, alg) where status = 'PUBLISHED';

grant update (status, sealed_seed, not_after, activated_at, retired_at) on signing_key to qflare_worker;
-- A retired key of the log vouches for no checkpoint that is newer than its last.
grant select (signed_at) on audit_checkpoint to qflare_worker;

alter table kek_version drop constraint kek_version_status_check;
alter table kek_version add constraint kek_version_status_check check (status in ('ACTIVE', 'RETIRED', 'DESTROYED'));
alter table kek_version alter column sealed drop not null;
-- due_at: when somebody asked for its successor, whatever its age.
alter table kek_version
  add column due_at timestamptz, add column retired_at timestamptz, add column destroyed_at timestamptz;
update kek_version set retired_at = created_at where status = 'RETIRED';
alter table kek_version add constraint kek_version_is_sound check ((status = 'ACTIVE') = (retired_at is null)
  and (status = 'DESTROYED') = (destroyed_at is not null) and (status = 'DESTROYED') = (sealed is null));
grant update (status, retired_at, due_at) on kek_version to qflare_worker;

-- What each record is sealed under. Null, of before this release: nobody knows, and for a few hours it counts as each.
alter table temporal_key add column key_version bigint;

-- When its MAC was seen to be wrong, at a rotation: somebody wrote to the database. It is not made anew.
alter table identity_key add column mac_mismatched_at timestamptz;
create index identity_key_mac_version on identity_key (mac_key_version, organization_id, kid)
  where mac_mismatched_at is null;
grant select, update (mac, mac_key_version, mac_mismatched_at) on identity_key to qflare_worker;

-- The version of the key-encryption key that a sealed record names in its header.
create function sealed_under(record bytea) returns bigint language sql immutable strict parallel safe
  return get_byte(record, 3)::bigint * 16777216 + get_byte(record, 4) * 65536 + get_byte(record, 5) * 256 + get_byte(record, 6);

create policy rotate_keys on identity_key for select to qflare_jobs using (true);
create policy rotate_keys on challenge for select to qflare_jobs using (true);
grant select (organization_id, kid, mac_key_version, mac_mismatched_at) on identity_key to qflare_jobs;
grant select (sealed_challenge, expires_at) on challenge to qflare_jobs;
grant select on signing_key, temporal_key, kek_version to qflare_jobs;
grant update (status, sealed, destroyed_at) on kek_version to qflare_jobs;

-- Identity keys whose MAC is under an older version, in order; ids alone.
create function list_stale_identity_macs(below_version bigint, page_size integer)
returns table (organization_id uuid, kid text)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select k.organization_id, k.kid from identity_key k
    where k.mac_key_version < below_version and k.mac_mismatched_at is null
    order by k.mac_key_version, k.organization_id, k.kid limit page_size;
end;

create function count_stale_identity_macs(below_version bigint) returns bigint
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select count(*) from identity_key k where k.mac_key_version < below_version and k.mac_mismatched_at is null;
end;

-- Whether anything that will still be opened is under this version. Challenges of identity rotations are not looked at: they live
-- for five minutes, a retired version for a day. at_time: by the clock of the service.
create function is_kek_used(kek_purpose integer, kek_number bigint, at_time timestamptz) returns boolean
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select case kek_purpose
    when 2 then exists (select from signing_key s where sealed_under(s.sealed_seed) = kek_number)
    when 3 then exists (select from identity_key k where k.mac_key_version = kek_number and k.mac_mismatched_at is null)
    when 4 then exists (select from challenge c where c.expires_at > at_time and sealed_under(c.sealed_challenge) = kek_number)
    when 5 then exists (select from temporal_key t where t.destroyed_at is null
      and (t.key_version is null or t.key_version = kek_number))
    else true end;
end;

-- Erases a version that was retired a day ago, when every process has long heard of the next, and that nothing is under. False: it is
-- not, or is destroyed already.
create function destroy_kek(kek_purpose integer, kek_number bigint, at_time timestamptz) returns boolean
language sql security definer set search_path = pg_catalog, public
begin atomic
  with hit as (
    update kek_version k set status = 'DESTROYED', sealed = null, destroyed_at = at_time
      where k.purpose = kek_purpose and k.version = kek_number and k.status = 'RETIRED'
        and k.retired_at <= at_time - interval '1 day'
        and not is_kek_used(kek_purpose, kek_number, at_time)
      returning 1
  )
  select exists (select from hit);
end;

revoke execute on function list_stale_identity_macs(bigint, integer), count_stale_identity_macs(bigint), is_kek_used(integer, bigint, timestamptz),
  destroy_kek(integer, bigint, timestamptz) from public;
grant execute on function list_stale_identity_macs(bigint, integer), count_stale_identity_macs(bigint), is_kek_used(integer, bigint, timestamptz),
  destroy_kek(integer, bigint, timestamptz) to qflare_worker;
grant create on schema public to qflare_jobs;
alter function list_stale_identity_macs(bigint, integer) owner to qflare_jobs;
alter function count_stale_identity_macs(bigint) owner to qflare_jobs;
alter function is_kek_used(integer, bigint, timestamptz) owner to qflare_jobs;
alter function destroy_kek(integer, bigint, timestamptz) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
`
