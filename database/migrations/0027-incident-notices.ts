/** What the receiver of notices is to be told of incidents: a row is stored with what it tells of, and goes with its delivery. */
export const up = `
create table incident_notice (
  organization_id uuid not null,
  -- The receiver knows by it what it was told before.
  id uuid not null,
  incident_id uuid not null,
  type text not null check (type in ('incident.opened', 'incident.escalated')),
  -- JSON, as it is sent at each try
  body text not null check (length(body) between 2 and 4096),
  created_at timestamptz not null,
  -- Also who has it: only the last one to begin a try may say how it ended.
  attempts integer not null default 0 check (attempts >= 0),
  -- While a try is under way, when it counts as lost.
  next_attempt_at timestamptz not null,
  primary key (organization_id, id),
  foreign key (organization_id, incident_id) references incident (organization_id, id)
);
create index incident_notice_due on incident_notice (next_attempt_at);

select isolate_tenants('incident_notice');
grant select, insert, delete, update (attempts, next_attempt_at) on incident_notice to qflare_worker;

create policy list_due on incident_notice for select to qflare_jobs using (true);
grant select (organization_id, id, next_attempt_at) on incident_notice to qflare_jobs;

-- The organizations in turn, each with the one that is due for the longest: of one that has many, others do not wait for all.
create function list_due_incident_notices(due_at timestamptz, page_size integer)
returns table (organization_id uuid, id uuid)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select d.organization_id, d.id from (
      select n.organization_id, n.id, n.next_attempt_at,
          row_number() over (partition by n.organization_id order by n.next_attempt_at, n.id) as turn
        from incident_notice n where n.next_attempt_at <= due_at) d
    order by d.turn, d.next_attempt_at, d.id limit page_size;
end;
revoke execute on function list_due_incident_notices(timestamptz, integer) from public;
grant execute on function list_due_incident_notices(timestamptz, integer) to qflare_worker;
grant create on schema public to qflare_jobs;
alter function list_due_incident_notices(timestamptz, integer) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
`
