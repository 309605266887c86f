/** What attestation does to the fleet: deadlines that are watched, and the news of who may not take part, in their order. */
export const up = `
-- Devices that have a session and should have attested; the longest overdue first.
create index principal_attestation_due on principal (next_attestation_at)
  where next_attestation_at is not null and active_session_id is not null and status = 'ACTIVE';
grant select (status, next_attestation_at, attestations_missed) on principal to qflare_worker;
grant update (next_attestation_at, attestations_missed) on principal to qflare_worker;

-- Ids, and nothing else, cross the tenants.
create policy list_overdue on principal for select to qflare_jobs using (true);
grant select (organization_id, id, status, active_session_id, next_attestation_at) on principal to qflare_jobs;
create function list_overdue_attestations(due_before timestamptz, page_size integer)
returns table (organization_id uuid, id uuid)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select p.organization_id, p.id from principal p
    where p.status = 'ACTIVE' and p.active_session_id is not null and p.next_attestation_at <= due_before
    order by p.next_attestation_at limit page_size;
end;

-- A policy may be terms of its own now: tiers, and the age of results in seconds.
alter table federation alter column policy type text using policy::text;
alter table federation add constraint federation_policy_is_known check (policy ~
  '^(development|production|(affirming(,warning)?(,none)?|warning(,none)?|none)(/([3-9][0-9]{2}|[1-9][0-9]{3,4}))?)$');
drop type federation_policy;

-- The last number of an organization's news: the row is what two who tell something at once meet at, until one has committed.
create table revocation_feed (
  organization_id uuid primary key references organization (id),
  last_sequence bigint not null check (last_sequence >= 0)
);
-- Who may not take part any more, or may again. Numbers have no gap, and who sees one sees all before it.
create table revocation (
  organization_id uuid not null,
  sequence bigint not null check (sequence > 0),
  principal_id uuid not null,
  status principal_status not null,
  changed_at timestamptz not null,
  primary key (organization_id, sequence),
  foreign key (organization_id, principal_id) references principal (organization_id, id)
);
create index revocation_age on revocation (changed_at);
-- of whoever listens: which federations a device is in, and who of all may not take part
create index federation_member_of on federation_member (organization_id, device_id, federation_id);
create index principal_barred on principal (organization_id, id) where status in ('QUARANTINED', 'SUSPENDED', 'REVOKED');

select isolate_tenants(t) from unnest(array['revocation_feed', 'revocation']::regclass[]) t;
grant select, insert on revocation_feed, revocation to qflare_api;
grant update (last_sequence) on revocation_feed to qflare_api;
grant select (organization_id, sequence, changed_at), delete on revocation to qflare_worker;

create policy list_old on revocation for select to qflare_jobs using (true);
grant select (organization_id, changed_at) on revocation to qflare_jobs;
-- Organizations whose oldest news are older than a time.
create function list_old_revocations(told_before timestamptz, page_size integer) returns setof uuid
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select distinct o.organization_id from (
    select r.organization_id from revocation r where r.changed_at < told_before order by r.changed_at limit page_size) o;
end;

revoke execute on function list_overdue_attestations(timestamptz, integer), list_old_revocations(timestamptz, integer) from public;
grant execute on function list_overdue_attestations(timestamptz, integer), list_old_revocations(timestamptz, integer)
  to qflare_worker;
grant create on schema public to qflare_jobs;
alter function list_overdue_attestations(timestamptz, integer) owner to qflare_jobs;
alter function list_old_revocations(timestamptz, integer) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
`
