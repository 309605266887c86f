/** Sessions end by time in the table too, and go by whole days. How many hold a chain of an epoch is counted ahead of its end. */
export const up = `
grant select (organization_id, id, principal_id, state, created_at, expires_at, superseded_at) on session to qflare_worker;
grant update (state, ended_at, chains, confirmation_hash) on session to qflare_worker;
grant select (organization_id, id, active_session_id, pending_session_ids) on principal to qflare_worker;
grant update (active_session_id, pending_session_ids) on principal to qflare_worker;

-- Ids and counts, and nothing else, cross the tenants.
grant select (organization_id, id, state, created_at, expires_at, superseded_at) on session to qflare_jobs;

-- Buckets of sessions that hold key material, the oldest first: the partial index is jumped through, not read.
create function list_open_buckets() returns setof bigint
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  with recursive buckets as (
    select min(bucket) as bucket from session where chains is not null
    union all
    select (select min(s.bucket) from session s where s.bucket > b.bucket and s.chains is not null)
      from buckets b where b.bucket is not null
  )
  select bucket from buckets where bucket is not null;
end;

-- Sessions of a bucket that time has ended, though their rows do not say so: PENDING made, ACTIVE or SUPERSEDED until, SUPERSEDED
-- since a time or before.
create function list_ended_sessions(of_bucket bigint, made timestamptz, until timestamptz, superseded timestamptz, page_size integer)
returns table (organization_id uuid, id uuid)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select s.organization_id, s.id from session s
    where s.bucket = of_bucket and s.chains is not null
      and (s.state = 'PENDING' and s.created_at <= made or s.expires_at <= until
        or s.state = 'SUPERSEDED' and s.superseded_at <= superseded)
    limit page_size;
end;

-- How many sessions hold chains from one epoch to another.
create function count_open_sessions() returns table (bucket bigint, last_epoch bigint, sessions bigint)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select s.bucket, s.last_epoch, count(*) from session s where s.chains is not null group by s.bucket, s.last_epoch;
end;

-- The count of an epoch was as long as the fleet is large, at the very time when its key has to go. Now it stands with the key.
drop function count_sessions_of_epoch(bigint);
alter table temporal_key
  add column sessions bigint check (sessions >= 0),
  add column counted_at timestamptz,
  add constraint is_counted check ((sessions is null) = (counted_at is null));
grant update (sessions, counted_at) on temporal_key to qflare_worker;

-- Of a UTC day: all, and those that hold key material.
create function count_sessions_of_day(day date) returns table (sessions bigint, open_sessions bigint)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select count(*), (select count(*) from session o where o.chains is not null
      and o.id >= (lpad(to_hex((extract(epoch from day) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
      and o.id < (lpad(to_hex((extract(epoch from day + 1) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid)
    from session s
    where s.id >= (lpad(to_hex((extract(epoch from day) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
      and s.id < (lpad(to_hex((extract(epoch from day + 1) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
end;

revoke execute on function list_open_buckets(), count_open_sessions(), count_sessions_of_day(date),
  list_ended_sessions(bigint, timestamptz, timestamptz, timestamptz, integer) from public;
grant execute on function list_open_buckets(), count_open_sessions(),
  list_ended_sessions(bigint, timestamptz, timestamptz, timestamptz, integer) to qflare_worker;
grant create on schema public to qflare_jobs;
alter function list_open_buckets() owner to qflare_jobs;
alter function list_ended_sessions(bigint, timestamptz, timestamptz, timestamptz, integer) owner to qflare_jobs;
alter function count_open_sessions() owner to qflare_jobs;
alter function count_sessions_of_day(date) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
-- The owner itself sees no session: counting as itself it would find none of any day.
set local role qflare_jobs;
grant execute on function count_sessions_of_day(date) to qflare_owner;
set local role qflare_owner;

-- Drops the partition of a UTC day; how many sessions went with it, null where there is no such partition. It computes the name
-- itself. The last session of a day has ended two hours after it; no exchange makes one in a day that is over. The parent is
-- locked for the drop alone, after the counting, and who cannot have it at once leaves it to those who exchange.
create function drop_session_partition(day date, ended_before timestamptz) returns bigint
language plpgsql security definer set search_path = pg_catalog, public set lock_timeout = '250ms' as $$
declare
  partition_name text := 'session_' || to_char(day, 'YYYYMMDD');
  counted record;
begin
  if ended_before is null or ended_before > now() - interval '1 day' then
    raise exception 'sessions are kept for a day at least' using errcode = 'QF003';
  end if;
  if (day + 1)::timestamp at time zone 'UTC' + interval '2 hours' > ended_before then
    raise exception 'sessions of % ended later than that', day using errcode = 'QF003';
  end if;
  perform pg_advisory_xact_lock(hashtext('qflare session partitions'));
  if to_regclass('public.' || quote_ident(partition_name)) is null then return null; end if;
  select * into strict counted from public.count_sessions_of_day(day);
  if counted.open_sessions > 0 then
    raise exception '% sessions of % still hold key material', counted.open_sessions, day using errcode = 'QF003';
  end if;
  execute format('drop table public.%I', partition_name);
  return counted.sessions;
end $$;
revoke execute on function drop_session_partition(date, timestamptz) from public;
grant execute on function drop_session_partition(date, timestamptz) to qflare_worker;
`
