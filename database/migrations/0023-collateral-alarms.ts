/** What was told of collateral before it ends and when it has ended, and bodies that are published again as they were. */
export const up = `
alter table collateral alter column body drop not null;
alter table collateral
  -- the one whose body it has, of the same hash: what is fetched every day is mostly what it was the day before
  add column body_of uuid,
  add constraint collateral_has_one_body check ((body is null) <> (body_of is null)),
  add foreign key (organization_id, body_of) references collateral (organization_id, id);

-- What was told of which collateral: each stage once. A newer one in its place has rows of its own.
create table collateral_alarm (
  organization_id uuid not null,
  collateral_id uuid not null,
  stage text not null check (stage in ('ending', 'ended')),
  told_at timestamptz not null,
  primary key (organization_id, collateral_id, stage),
  foreign key (organization_id, collateral_id) references collateral (organization_id, id)
);
select isolate_tenants('collateral_alarm');
grant select, insert on collateral_alarm to qflare_worker;
create index collateral_in_use on collateral (next_update_at, kind, issued_at) where removed_at is null;

-- Null: there is nothing to tell, or it names no end. What lives shortly is told of in the last quarter of its life, not all the time.
create function collateral_stage(issued_at timestamptz, next_update_at timestamptz, at timestamptz, warning_seconds integer)
returns text language sql immutable
begin atomic
  select case
    when next_update_at <= at then 'ended'
    when extract(epoch from next_update_at - at) <= least(warning_seconds, extract(epoch from next_update_at - issued_at) / 4)
      then 'ending'
    end;
end;

create policy list_ending on collateral for select to qflare_jobs using (true);
create policy list_ending on collateral_alarm for select to qflare_jobs using (true);
grant select (kind, issued_at, next_update_at, removed_at) on collateral to qflare_jobs;
grant select (organization_id, collateral_id, stage) on collateral_alarm to qflare_jobs;

-- Collateral in use whose stage was not told yet, the first to end first; ids, and nothing else, cross the tenants.
create function list_untold_collateral(at timestamptz, warning_seconds integer, page_size integer)
returns table (organization_id uuid, id uuid)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select s.organization_id, s.id from (
      select c.organization_id, c.id, c.next_update_at,
          collateral_stage(c.issued_at, c.next_update_at, list_untold_collateral.at, warning_seconds) as stage
        from collateral c
        where c.removed_at is null
          and c.next_update_at <= list_untold_collateral.at + make_interval(secs => warning_seconds)) s
    where s.stage is not null and not exists (select from collateral_alarm a
      where a.organization_id = s.organization_id and a.collateral_id = s.id and a.stage = s.stage)
    order by s.next_update_at, s.organization_id, s.id limit page_size;
end;

-- Of all organizations together, for the metrics: by kind what is in use, and nothing of whose it is.
create function summarize_collateral(at timestamptz)
returns table (kind text, ends_at timestamptz, issued_at timestamptz, out_of_date bigint)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select c.kind, min(c.next_update_at) filter (where c.next_update_at > summarize_collateral.at), min(c.issued_at),
      count(*) filter (where c.next_update_at <= summarize_collateral.at)
    from collateral c where c.removed_at is null group by c.kind;
end;

revoke execute on function collateral_stage(timestamptz, timestamptz, timestamptz, integer),
  list_untold_collateral(timestamptz, integer, integer), summarize_collateral(timestamptz) from public;
grant execute on function collateral_stage(timestamptz, timestamptz, timestamptz, integer) to qflare_worker, qflare_jobs;
grant execute on function list_untold_collateral(timestamptz, integer, integer), summarize_collateral(timestamptz)
  to qflare_worker;
grant create on schema public to qflare_jobs;
alter function list_untold_collateral(timestamptz, integer, integer) owner to qflare_jobs;
alter function summarize_collateral(timestamptz) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
`
