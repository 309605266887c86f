/**
 * The audit log: entries that only the sequencer adds, the hashes of their tree, and signed checkpoints. Nothing of it is ever
 * changed; bodies of entries go by whole partitions, when they are old enough, and their hashes stay.
 */
export const up = `
-- Of each use one active signing key for each algorithm: the log is signed under two of them in profile cnsa-2.0.
drop index signing_key_active;
create unique index signing_key_active on signing_key (key_use, alg) where status = 'ACTIVE';

create table audit_log_state (
  is_only boolean primary key default true check (is_only),
  size bigint not null default 0 check (size >= 0),
  -- of the sequencer that may append: the next one raises it, and who has an older one changes nothing any more
  epoch bigint not null default 0,
  -- the newest checkpoint that readers may know of, and its size; 0 and null before the first
  published_id bigint,
  published_size bigint not null default 0 check (published_size between 0 and size),
  -- entries of one partition; a whole number of tiles, and never changed once there is a partition
  partition_entries bigint not null default 4194304 check (partition_entries > 0 and partition_entries % 256 = 0)
);
insert into audit_log_state default values;

create domain sha256_hash as bytea check (length(value) = 32);

create table audit_entry (
  index bigint not null check (index >= 0),
  organization_id uuid not null,
  event_id uuid not null,
  -- what filters look for, taken from the entry
  at timestamptz not null,
  type text not null,
  severity text not null,
  actor_id uuid,
  device_id uuid,
  -- the bytes of the leaf
  entry audit_event not null,
  primary key (index)
) partition by range (index);
-- One for each filter: each begins with another column, so that a page of one filter can be read by one of them alone.
create index audit_entry_organization on audit_entry (organization_id, index);
create index audit_entry_type on audit_entry (type, organization_id, index);
create index audit_entry_severity on audit_entry (severity, organization_id, index) where severity <> 'info';
create index audit_entry_actor on audit_entry (actor_id, organization_id, index);
create index audit_entry_device on audit_entry (device_id, organization_id, index) where device_id is not null;

-- Where an event stands; outlives its body, so that who kept the event can still ask for its proof.
create table audit_event_id (
  organization_id uuid not null,
  event_id uuid primary key,
  index bigint not null unique check (index >= 0)
);

-- Hashes of the tree, 32 bytes each, as they came: those of one row stand side by side in one tile of 256 (C2SP tlog-tiles).
create table audit_tile (
  level smallint not null check (level between 0 and 7),
  first_index bigint not null check (first_index >= 0),
  hashes bytea not null check (length(hashes) between 32 and 8192 and length(hashes) % 32 = 0),
  primary key (level, first_index),
  constraint in_one_tile check (first_index / 256 = (first_index + length(hashes) / 32 - 1) / 256)
);
alter table audit_tile alter column hashes set storage external;

create table audit_checkpoint (
  id bigint generated always as identity primary key,
  size bigint not null check (size >= 0),
  root sha256_hash not null,
  signed_at timestamptz not null,
  -- the signed note, without the lines of witnesses
  note text not null
);

create table audit_cosignature (
  checkpoint_id bigint not null references audit_checkpoint (id) on delete cascade,
  witness text not null,
  line text not null,
  received_at timestamptz not null,
  primary key (checkpoint_id, witness)
);

-- What is in each partition of entries: which times, and whether its bodies are gone.
create table audit_partition (
  first_index bigint primary key,
  end_index bigint not null check (end_index > first_index),
  oldest_at timestamptz,
  newest_at timestamptz,
  removed_at timestamptz
);

-- An auditor of an organization reads its entries and those of the service itself, which have the nil UUID.
create function is_readable_by_auditor(organization uuid) returns boolean language sql stable parallel safe
  return organization = current_organization()
    or (organization = '00000000-0000-0000-0000-000000000000' and current_organization() is not null);

create function isolate_log(log_table regclass) returns void
language plpgsql set search_path = pg_catalog, public as $$
begin
  execute format('alter table %s enable row level security', log_table);
  execute format('alter table %s force row level security', log_table);
  execute format('create policy tenant_only on %s as restrictive to qflare_api, qflare_worker, qflare_auditor
    using (is_readable_by_auditor(organization_id)) with check (organization_id = current_organization())', log_table);
  execute format('create policy tenant on %s as permissive to qflare_api, qflare_worker, qflare_auditor
    using (is_readable_by_auditor(organization_id)) with check (organization_id = current_organization())', log_table);
  -- Nobody reads an entry that no published checkpoint covers.
  execute format('create policy published on %s as restrictive for select to qflare_auditor
    using (index < (select published_size from audit_log_state))', log_table);
  execute format('create policy sequence on %s for select to qflare_sequencer using (true)', log_table);
  execute format('create policy append on %s for insert to qflare_sequencer with check (true)', log_table);
end $$;
revoke execute on function isolate_log(regclass) from public;
select isolate_log('audit_entry');
select isolate_log('audit_event_id');

-- Where, in 65,536 entries at most, the log has no event of anybody, which is nowhere: a row that was taken out must not look like one of somebody else.
create policy find_missing on audit_event_id for select to qflare_jobs using (true);
grant select (index) on audit_event_id to qflare_jobs;
create function find_missing_events(from_index bigint, to_index bigint) returns setof bigint
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select i from generate_series(from_index, least(to_index, from_index + 65536) - 1) as i
  except select e.index from audit_event_id e where e.index >= from_index and e.index < to_index;
end;
revoke execute on function find_missing_events(bigint, bigint) from public;
grant execute on function find_missing_events(bigint, bigint) to qflare_auditor;
grant create on schema public to qflare_jobs;
alter function find_missing_events(bigint, bigint) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;

-- The log is append-only for everybody; the owner's own functions drop what is old.
create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'the audit log is append-only: % of % is refused', tg_op, tg_table_name using errcode = 'QF002';
end $$;
create trigger append_only before update or delete or truncate on audit_entry
  for each statement execute function refuse_change();
create trigger append_only before update or delete or truncate on audit_event_id
  for each statement execute function refuse_change();
create trigger append_only before update or delete or truncate on audit_tile
  for each statement execute function refuse_change();

-- Makes the partition that an entry belongs to, where it is missing; reached through the parent only, as those of sessions.
create function make_audit_partition(entry_index bigint) returns boolean
language plpgsql security definer set search_path = pg_catalog, public as $$
declare
  entries bigint := (select partition_entries from public.audit_log_state);
  lower_bound bigint := (entry_index / entries) * entries;
  partition_name text := 'audit_entry_' || lower_bound;
begin
  if entry_index not between 0 and (select size from public.audit_log_state) + 2 * entries then
    raise exception 'the log is not near entry %', entry_index using errcode = 'QF003';
  end if;
  if exists (select from public.audit_partition where first_index = lower_bound) then return false; end if;
  perform pg_advisory_xact_lock(hashtext('qflare audit partitions'));
  if exists (select from public.audit_partition where first_index = lower_bound) then return false; end if;
  execute format('create table public.%I partition of public.audit_entry for values from (%s) to (%s)',
    partition_name, lower_bound, lower_bound + entries);
  execute format('alter table public.%I enable row level security', partition_name);
  execute format('alter table public.%I force row level security', partition_name);
  execute format('create trigger append_only before update or delete or truncate on public.%I
    for each statement execute function public.refuse_change()', partition_name);
  insert into public.audit_partition (first_index, end_index) values (lower_bound, lower_bound + entries);
  return true;
end $$;
revoke execute on function make_audit_partition(bigint) from public;
grant execute on function make_audit_partition(bigint) to qflare_sequencer;

-- Removes the bodies of the oldest partition that is complete, published and older than a time at least a year ago. Their
-- hashes stay. Answers what went; no row when there is none to remove.
create function remove_audit_entries(older_than timestamptz) returns table (from_index bigint, to_index bigint, newest_at timestamptz)
language plpgsql security definer set search_path = pg_catalog, public as $$
declare
  oldest public.audit_partition;
begin
  if older_than is null or older_than > now() - interval '365 days' then
    raise exception 'entries are kept for a year at least' using errcode = 'QF003';
  end if;
  perform pg_advisory_xact_lock(hashtext('qflare audit partitions'));
  select p.* into oldest from public.audit_partition p where p.removed_at is null order by p.first_index limit 1;
  if oldest.newest_at is null or oldest.newest_at >= older_than
    or oldest.end_index > (select s.published_size from public.audit_log_state s) then return; end if;
  execute format('drop table public.%I', 'audit_entry_' || oldest.first_index);
  update public.audit_partition p set removed_at = now() where p.first_index = oldest.first_index;
  return query select oldest.first_index, oldest.end_index, oldest.newest_at;
end $$;
revoke execute on function remove_audit_entries(timestamptz) from public;
grant execute on function remove_audit_entries(timestamptz) to qflare_sequencer;

-- Of the checkpoints that are no longer needed keeps the last of each day, and the newest that witnesses signed.
create function prune_audit_checkpoints() returns bigint
language sql security definer set search_path = pg_catalog, public
begin atomic
  with kept as (
    select max(c.id) as id from audit_checkpoint c group by date_trunc('day', c.signed_at at time zone 'UTC')
    union select max(s.checkpoint_id) from audit_cosignature s
  ), pruned as (
    delete from audit_checkpoint c
      where c.id < (select published_id - 1000 from audit_log_state)
        and not exists (select from kept where kept.id = c.id)
      returning 1
  )
  select count(*) from pruned;
end;
revoke execute on function prune_audit_checkpoints() from public;
grant execute on function prune_audit_checkpoints() to qflare_sequencer;

grant select, delete on audit_outbox to qflare_sequencer;
create policy sequenced on audit_outbox for delete to qflare_sequencer using (true);
-- What the sequencer itself has to tell is of the service.
grant insert on audit_outbox to qflare_sequencer;
create policy tell on audit_outbox for insert to qflare_sequencer
  with check (organization_id = '00000000-0000-0000-0000-000000000000');
-- A queue: what is taken leaves dead rows at its head, which every look would step over.
alter table audit_outbox set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
  autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000);

grant select, insert on audit_entry, audit_event_id, audit_tile, audit_checkpoint, audit_cosignature to qflare_sequencer;
grant select on audit_log_state, audit_partition to qflare_sequencer;
grant update (size, epoch, published_id, published_size) on audit_log_state to qflare_sequencer;
grant update (oldest_at, newest_at) on audit_partition to qflare_sequencer;
-- Its keys, and what it checks at its start.
grant select on kek_version, signing_key, trust_bundle to qflare_sequencer;

grant select on audit_entry, audit_event_id, audit_tile, audit_checkpoint, audit_cosignature, audit_log_state, audit_partition
  to qflare_auditor;
`
