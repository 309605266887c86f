/**
 * What the security monitor has read and found. Rows of the service itself have the nil UUID as their organization, as its entries in
 * the log have: there is no such organization, and so no foreign key.
 */
export const up = `
-- How far the log has been read for all organizations.
create table monitor_state (
  is_only boolean primary key default true check (is_only),
  next_index bigint not null check (next_index >= 0)
);
-- What was logged before there was a monitor it does not look at.
insert into monitor_state (next_index) select published_size from audit_log_state;
grant select, update (next_index) on monitor_state to qflare_worker;

-- The same for one: what was found in its entries is stored with it, so that nothing is found twice.
create table monitor_position (
  organization_id uuid primary key,
  next_index bigint not null check (next_index >= 0)
);

create table monitor_settings (
  organization_id uuid primary key references organization (id),
  -- JSON
  body text not null check (length(body) <= 16384),
  changed_at timestamptz not null
);

-- What a rule counts, until it is an incident's or too old.
create table monitor_signal (
  organization_id uuid not null,
  rule text not null,
  subject text not null check (length(subject) between 1 and 200),
  index bigint not null,
  event_id uuid not null,
  at timestamptz not null,
  count bigint not null check (count > 0),
  device_id uuid,
  primary key (organization_id, rule, subject, index)
);
create index monitor_signal_age on monitor_signal (organization_id, at);

create table incident (
  organization_id uuid not null,
  id uuid not null,
  rule text not null,
  subject text not null check (length(subject) between 1 and 200),
  severity text not null check (severity in ('notice', 'warning', 'critical')),
  status text not null default 'OPEN' check (status in ('OPEN', 'ACKNOWLEDGED', 'RESOLVED')),
  opened_at timestamptz not null,
  -- of the newest event
  last_at timestamptz not null,
  count bigint not null check (count > 0),
  devices integer not null default 0,
  -- The API tokens that did it first.
  acknowledged_at timestamptz,
  acknowledged_by uuid,
  resolved_by uuid,
  resolved_at timestamptz check ((resolved_at is not null) = (status = 'RESOLVED')),
  primary key (organization_id, id)
);
-- The same is one incident until somebody has resolved it.
create unique index incident_live on incident (organization_id, rule, subject) where status <> 'RESOLVED';
create index incident_status on incident (organization_id, status, id);
create index incident_open on incident (severity) where status = 'OPEN';

-- Its evidence: entries of the log, the first thousand.
create table incident_event (
  organization_id uuid not null,
  incident_id uuid not null,
  index bigint not null,
  event_id uuid not null,
  at timestamptz not null,
  primary key (organization_id, incident_id, index),
  foreign key (organization_id, incident_id) references incident (organization_id, id)
);

-- The devices in it, and what was done with each.
create table incident_device (
  organization_id uuid not null,
  incident_id uuid not null,
  device_id uuid not null,
  response text check (response in ('revoke_sessions', 'suspend')),
  responded_at timestamptz check ((responded_at is not null) = (response is not null)),
  -- 'dry_run' or 'limit'
  withheld text check (withheld in ('dry_run', 'limit')),
  primary key (organization_id, incident_id, device_id),
  foreign key (organization_id, incident_id) references incident (organization_id, id)
);
create index incident_device_incidents on incident_device (organization_id, device_id, incident_id);
create index incident_device_responses on incident_device (organization_id, responded_at) where responded_at is not null;

create table threat_score (
  organization_id uuid not null,
  device_id uuid not null,
  score double precision not null check (score >= 0),
  scored_at timestamptz not null,
  primary key (organization_id, device_id)
);

select isolate_tenants(t) from unnest(array['monitor_position', 'monitor_settings', 'monitor_signal', 'incident',
  'incident_event', 'incident_device', 'threat_score']::regclass[]) t;
grant select, insert, update (next_index) on monitor_position to qflare_worker;
grant select, insert, update (body, changed_at) on monitor_settings to qflare_api;
grant select on monitor_settings to qflare_worker;
grant select, insert, delete on monitor_signal to qflare_worker;
grant select, insert, update (severity, last_at, count, devices) on incident to qflare_worker;
grant select, update (status, acknowledged_at, acknowledged_by, resolved_at, resolved_by) on incident to qflare_api;
grant select, insert on incident_event to qflare_worker;
grant select on incident_event to qflare_api;
grant select, insert, update (response, responded_at, withheld) on incident_device to qflare_worker;
grant select on incident_device to qflare_api;
grant select, insert, delete, update (score, scored_at) on threat_score to qflare_worker;
grant select on threat_score to qflare_api;

-- What a response does with a device.
grant update (status) on principal to qflare_worker;
grant select, insert on revocation, revocation_feed to qflare_worker;
grant update (last_sequence) on revocation_feed to qflare_worker;

-- For the metrics: how far behind the monitor is, and of all organizations together what waits for somebody.
grant select (published_size) on audit_log_state to qflare_worker;
create policy count_open on incident for select to qflare_jobs using (true);
grant select (severity, status) on incident to qflare_jobs;
create function count_open_incidents() returns table (severity text, incidents bigint)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select i.severity, count(*) from incident i where i.status = 'OPEN' group by i.severity;
end;
revoke execute on function count_open_incidents() from public;
grant execute on function count_open_incidents() to qflare_worker;
grant create on schema public to qflare_jobs;
alter function count_open_incidents() owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
`
