/**
 * Results and evidence in partitions by id, and so by time, that go as a whole. Names, columns, keys and rights are what they were, so
 * that the release before works on. What a dropped partition had that somebody relies on still is kept apart.
 */
export const up = `
-- Ids of a clock that was far ahead: they get partitions of their own weeks. The owner itself sees no row of any organization.
create table attestation_migration as select
  (select substring(pg_get_constraintdef(oid) from '[0-9a-f-]{36}')::uuid from pg_constraint
    where conrelid = 'attestation_result'::regclass and conname = 'attestation_result_before') as bound, false as has_strays;
grant select, update on attestation_migration to qflare_jobs;
set local role qflare_jobs;
update attestation_migration set has_strays = exists (select from attestation_result where id >= bound)
  or exists (select from evidence where id >= bound);
set local role qflare_owner;

-- The long part, beside whoever attests.
do $$ begin
  if not (select has_strays from attestation_migration) then
    alter table evidence validate constraint evidence_before;
    alter table attestation_result validate constraint attestation_result_before;
  end if;
end $$;

-- The short part. In the order in which an attestation takes them.
lock table principal, attestation_challenge, rotation_challenge, evidence, attestation_result in access exclusive mode;
-- Every row is written behind the lock of its principal, which is never deleted. A challenge names a result for the five minutes of
-- its answer.
alter table attestation_challenge drop constraint attestation_challenge_organization_id_attestation_result_i_fkey;
alter table rotation_challenge drop constraint rotation_challenge_organization_id_attestation_result_id_fkey;
alter table attestation_result drop constraint attestation_result_organization_id_evidence_id_fkey;
alter table attestation_result drop constraint attestation_result_organization_id_principal_id_fkey;
alter table evidence drop constraint evidence_organization_id_principal_id_fkey;

create table stray_evidence (like evidence);
create table stray_result (like attestation_result);
do $$ begin
  if (select has_strays from attestation_migration) then
    alter table evidence no force row level security;
    alter table attestation_result no force row level security;
    with gone as (delete from evidence where id >= (select bound from attestation_migration) returning *)
      insert into stray_evidence select * from gone;
    with gone as (delete from attestation_result where id >= (select bound from attestation_migration) returning *)
      insert into stray_result select * from gone;
    alter table evidence force row level security;
    alter table attestation_result force row level security;
    alter table evidence validate constraint evidence_before;
    alter table attestation_result validate constraint attestation_result_before;
  end if;
end $$;

-- Reached through the parent only: nobody is granted a partition, and its own RLS without policies lets nobody in.
drop policy tenant on evidence;
drop policy tenant_only on evidence;
drop policy find_relied on evidence;
drop policy tenant on attestation_result;
drop policy tenant_only on attestation_result;
drop policy find_relied on attestation_result;
revoke all on evidence, attestation_result from qflare_api, qflare_worker, qflare_auditor, qflare_jobs;
alter table evidence rename to evidence_before;
alter index evidence_pkey rename to evidence_before_pkey;
alter table attestation_result rename to attestation_result_before;
alter index attestation_result_pkey rename to attestation_result_before_pkey;
alter index attestation_result_principal rename to attestation_result_before_principal;
alter index attestation_result_bad rename to attestation_result_before_bad;

create table evidence (like evidence_before including defaults including storage,
  constraint evidence_pkey primary key (organization_id, id),
  constraint evidence_binding_check check (length(binding) = 32),
  constraint evidence_is_whole check ((binding is null) = (attesters is null))
) partition by range (id);
create table attestation_result (like attestation_result_before including defaults including storage,
  constraint attestation_result_pkey primary key (organization_id, id),
  constraint attestation_result_tier_check check (tier in ('none', 'affirming', 'warning', 'contraindicated'))
) partition by range (id);
create index attestation_result_principal on attestation_result (organization_id, principal_id, id);
create index attestation_result_bad on attestation_result (organization_id, tier, id)
  where tier in ('warning', 'contraindicated');
do $$
declare
  bound uuid := (select bound from attestation_migration);
begin
  execute format('alter table evidence attach partition evidence_before for values from (minvalue) to (%L)', bound);
  execute format('alter table attestation_result attach partition attestation_result_before for values from (minvalue) to (%L)',
    bound);
end $$;
alter table evidence_before drop constraint evidence_before;
alter table attestation_result_before drop constraint attestation_result_before;

-- The UTC day on which an id was made.
create function day_of_id(id uuid) returns date language sql immutable parallel safe
  return (to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000) at time zone 'UTC')::date;

-- By the end of their names, and the day before which they end; those of evidence are the same. The first has no lower bound.
create function list_attestation_partitions() returns table (suffix text, until date)
language sql stable set search_path = pg_catalog, public
begin atomic
  select p.suffix, day_of_id(p.bound) from (
      select regexp_replace(c.relname, '^attestation_result_', '') as suffix,
          substring(pg_get_expr(c.relpartbound, c.oid) from 'TO \\(''([0-9a-f-]{36})''\\)')::uuid as bound
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = 'attestation_result'::regclass) p
    where p.bound is not null order by p.bound;
end;

-- Makes the partitions of a day's week, which begins on Monday, where they are missing: aside, and then attached, which lets nobody
-- wait who attests. It computes names and bounds itself: no caller's text is run.
create function make_attestation_partition(day date) returns boolean
language plpgsql security definer set search_path = pg_catalog, public set lock_timeout = '250ms' as $$
declare
  week date := date_trunc('week', day)::date;
  tenant_table text;
  partition_name text;
begin
  perform pg_advisory_xact_lock(hashtext('qflare attestation partitions'));
  if exists (select from public.list_attestation_partitions() p
    where p.suffix = to_char(week, 'YYYYMMDD') or p.suffix = 'before' and p.until > week) then return false; end if;
  foreach tenant_table in array array['evidence', 'attestation_result'] loop
    partition_name := tenant_table || '_' || to_char(week, 'YYYYMMDD');
    execute format('create table public.%I (like public.%I including defaults including constraints including storage)',
      partition_name, tenant_table);
    execute format('alter table public.%I enable row level security', partition_name);
    execute format('alter table public.%I force row level security', partition_name);
    execute format('alter table public.%I attach partition public.%I for values from (%L) to (%L)',
      tenant_table, partition_name, public.first_id_of(week), public.first_id_of(week + 7));
  end loop;
  return true;
end $$;
revoke execute on function make_attestation_partition(date) from public;
grant execute on function make_attestation_partition(date) to qflare_worker;

do $$
declare
  day date;
begin
  for day in select distinct date_trunc('week', day_of_id(id))::date
    from (select id from stray_evidence union all select id from stray_result) s loop
    perform make_attestation_partition(day);
  end loop;
end $$;
insert into evidence select * from stray_evidence;
insert into attestation_result select * from stray_result;
drop table stray_evidence;
drop table stray_result;
drop table attestation_migration;

select isolate_tenants(t) from unnest(array['evidence', 'attestation_result']::regclass[]) t;
create policy find_relied on attestation_result for select to qflare_jobs using (true);
create policy find_relied on evidence for select to qflare_jobs using (true);
grant select, insert on evidence, attestation_result to qflare_api;
grant update (expires_at) on attestation_result to qflare_api;
grant select on attestation_result to qflare_worker;
grant select (organization_id, id, principal_id) on attestation_result to qflare_jobs;
grant select (id) on evidence to qflare_jobs;

-- Results of partitions that were dropped, which somebody relies on: the newest of a device that may take part, or one that a key of
-- an open round was given out on.
create table kept_attestation_result (like attestation_result including defaults including storage,
  primary key (organization_id, id));
create index kept_attestation_result_principal on kept_attestation_result (organization_id, principal_id, id);
select isolate_tenants('kept_attestation_result');
create policy find_relied on kept_attestation_result for select to qflare_jobs using (true);
grant select on kept_attestation_result to qflare_api;
grant select, insert, delete on kept_attestation_result to qflare_worker;
grant select (organization_id, id, principal_id) on kept_attestation_result to qflare_jobs;

-- Of results that were made before a day, in partitions that are there: those to keep apart before these go.
create function list_relied_results(until date, page_size integer) returns table (organization_id uuid, id uuid)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  with newest as (
    select distinct on (r.organization_id, r.principal_id) r.organization_id, r.principal_id, r.id
      from attestation_result r where r.id < first_id_of(until)
      order by r.organization_id, r.principal_id, r.id desc
  ), relied as (
    select n.organization_id, n.id from newest n
      join principal p on p.organization_id = n.organization_id and p.id = n.principal_id and p.status <> 'REVOKED'
      where not exists (select from attestation_result later where later.organization_id = n.organization_id
        and later.principal_id = n.principal_id and later.id >= first_id_of(until))
    union
    select g.organization_id, g.attestation_id from round o
      join round_participant g on g.organization_id = o.organization_id and g.federation_id = o.federation_id and g.round = o.round
      join attestation_result r on r.organization_id = g.organization_id and r.id = g.attestation_id
      where o.state = 'OPEN' and g.attestation_id < first_id_of(until)
  )
  select l.organization_id, l.id from relied l
    where not exists (select from kept_attestation_result k where k.organization_id = l.organization_id and k.id = l.id)
    limit page_size;
end;

-- Of those that are kept apart: what nobody relies on any more.
create function list_unneeded_results(page_size integer) returns table (organization_id uuid, id uuid)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select k.organization_id, k.id from kept_attestation_result k
    where not (
        exists (select from principal p where p.organization_id = k.organization_id and p.id = k.principal_id
          and p.status <> 'REVOKED')
        and not exists (select from attestation_result later where later.organization_id = k.organization_id
          and later.principal_id = k.principal_id and later.id > k.id)
        and not exists (select from kept_attestation_result later where later.organization_id = k.organization_id
          and later.principal_id = k.principal_id and later.id > k.id))
      and not exists (select from round o
        join round_participant g on g.organization_id = o.organization_id and g.federation_id = o.federation_id
          and g.round = o.round
        where o.organization_id = k.organization_id and o.state = 'OPEN' and g.attestation_id = k.id)
    limit page_size;
end;

create function count_attestations_before(until date) returns table (results bigint, pieces bigint)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select (select count(*) from attestation_result where id < first_id_of(until)),
    (select count(*) from evidence where id < first_id_of(until));
end;

revoke execute on function list_relied_results(date, integer), list_unneeded_results(integer), count_attestations_before(date)
  from public;
grant execute on function list_relied_results(date, integer), list_unneeded_results(integer) to qflare_worker;
grant create on schema public to qflare_jobs;
alter function list_relied_results(date, integer) owner to qflare_jobs;
alter function list_unneeded_results(integer) owner to qflare_jobs;
alter function count_attestations_before(date) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
set local role qflare_jobs;
grant execute on function list_relied_results(date, integer), count_attestations_before(date) to qflare_owner;
set local role qflare_owner;

-- Drops the oldest partitions, which end at a day; what went with them, no row where none do. It computes the names itself. The
-- parents are locked for the drop alone, after the counting, and who cannot have them at once leaves it to those who attest.
create function drop_attestation_partition(last_day date, made_before timestamptz) returns table (results bigint, pieces bigint)
language plpgsql security definer set search_path = pg_catalog, public set lock_timeout = '250ms' as $$
declare
  oldest record;
  counted record;
begin
  if made_before is null or made_before > now() - interval '2 days' then
    raise exception 'results are kept for two days at least' using errcode = 'QF003';
  end if;
  if last_day::timestamp at time zone 'UTC' > made_before then
    raise exception 'results of before % were made later than that', last_day using errcode = 'QF003';
  end if;
  perform pg_advisory_xact_lock(hashtext('qflare attestation partitions'));
  select * into oldest from public.list_attestation_partitions() limit 1;
  if oldest.until is null or oldest.until > last_day then return; end if;
  if oldest.until < last_day then
    raise exception 'there are older results than those of before %', last_day using errcode = 'QF003';
  end if;
  if exists (select from public.list_relied_results(last_day, 1)) then
    raise exception 'results of before % are relied upon, and not kept', last_day using errcode = 'QF003';
  end if;
  select * into strict counted from public.count_attestations_before(last_day);
  execute format('drop table public.%I', 'evidence_' || oldest.suffix);
  execute format('drop table public.%I', 'attestation_result_' || oldest.suffix);
  return query select counted.results, counted.pieces;
end $$;
revoke execute on function drop_attestation_partition(date, timestamptz) from public;
grant execute on function drop_attestation_partition(date, timestamptz) to qflare_worker;
`
