/** Sessions, partitioned by id and so by time: a session id begins with the start of its bucket. */
export const up = `
create domain renewal_nonces as bytea[] check (cardinality(value) <= 32);
create type session_state as enum
  ('PENDING', 'ACTIVE', 'SUPERSEDED', 'CLOSED', 'EXPIRED', 'TIMED_OUT', 'FAILED', 'REVOKED');

-- What must hold of every session, in one function: as separate checks it cost more than the write itself.
-- Only PENDING, ACTIVE and SUPERSEDED rows hold key material, and they hold all of it.
create function is_session_sound(state session_state, epochs bigint, chain_bytes integer, hash_bytes integer,
  is_confirmed boolean, is_superseded boolean, is_ended boolean) returns boolean language plpgsql immutable as $$
begin
  return epochs >= 1 and case
    when state in ('PENDING', 'ACTIVE', 'SUPERSEDED') then
      chain_bytes = 99 * epochs and hash_bytes = 32 and not is_ended
        and is_confirmed = (state <> 'PENDING') and is_superseded = (state = 'SUPERSEDED')
    else chain_bytes is null and hash_bytes is null and is_ended
      and (is_confirmed or state not in ('CLOSED', 'EXPIRED'))
    end;
end $$;

create table session (
  organization_id uuid not null,
  id uuid not null,
  -- no foreign key: every insert updates the principal's row in the same transaction, or fails
  principal_id uuid not null,
  state session_state not null,
  suite text not null,
  bucket bigint not null,
  last_epoch bigint not null,
  created_at timestamptz not null,
  expires_at timestamptz not null,
  confirmed_at timestamptz,
  superseded_at timestamptz,
  ended_at timestamptz,
  -- sealed chain keys of 99 bytes, one per epoch from bucket to last_epoch, one after the other
  chains bytea,
  -- SHA3-256 of the confirmation that the device must send
  confirmation_hash bytea,
  -- nonces of token renewals in token_epoch, the newest epoch that renewed
  token_epoch bigint,
  token_nonces renewal_nonces not null default '{}',
  primary key (organization_id, id),
  constraint session_is_sound check (is_session_sound(state, last_epoch - bucket + 1, length(chains),
    length(confirmation_hash), confirmed_at is not null, superseded_at is not null, ended_at is not null))
) partition by range (id);
create index session_principal on session (organization_id, principal_id, id);
create index session_epochs on session (bucket, last_epoch) where chains is not null;

select isolate_tenants('session');
create policy count_epochs on session for select to qflare_jobs using (true);

grant select, insert on session to qflare_api;
grant update (state, confirmed_at, superseded_at, ended_at, chains, confirmation_hash, token_epoch, token_nonces)
  on session to qflare_api;
grant select (bucket, last_epoch, chains) on session to qflare_jobs;

-- Makes the partition of a UTC day where it is missing. It computes name and bounds itself: no caller's text is run.
-- Reached through the parent only: nobody is granted the partition, and its own RLS without policies lets nobody in.
create function make_session_partition(day date) returns boolean
language plpgsql security definer set search_path = pg_catalog, public as $$
declare
  -- Half of a page is left for the update that confirms a session, so that it touches no index.
  partition_name text := 'session_' || to_char(day, 'YYYYMMDD');
  lower_bound text := lpad(to_hex((extract(epoch from day) * 1000)::bigint), 12, '0') || repeat('0', 20);
  upper_bound text := lpad(to_hex((extract(epoch from day + 1) * 1000)::bigint), 12, '0') || repeat('0', 20);
begin
  perform pg_advisory_xact_lock(hashtext('qflare session partitions'));
  if to_regclass('public.' || quote_ident(partition_name)) is not null then return false; end if;
  execute format('create table public.%I partition of public.session for values from (%L) to (%L)
    with (fillfactor = 50)', partition_name, lower_bound::uuid, upper_bound::uuid);
  execute format('alter table public.%I enable row level security', partition_name);
  execute format('alter table public.%I force row level security', partition_name);
  return true;
end $$;
revoke execute on function make_session_partition(date) from public;
grant execute on function make_session_partition(date) to qflare_worker;

-- How many sessions, of all organizations, hold a chain of an epoch: a count, and nothing else, crosses the tenants.
create function count_sessions_of_epoch(epoch bigint) returns bigint
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select count(*) from session where bucket <= epoch and last_epoch >= epoch and chains is not null;
end;
revoke execute on function count_sessions_of_epoch(bigint) from public;
grant execute on function count_sessions_of_epoch(bigint) to qflare_worker;
grant create on schema public to qflare_jobs;
alter function count_sessions_of_epoch(bigint) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
`
