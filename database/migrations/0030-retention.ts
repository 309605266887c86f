/**
 * What ends, and is deleted a while later. Results and evidence go by partitions, of which what there is becomes the first (0031): that
 * it lies before a bound is declared here and checked there, beside whoever attests, so that what attaches it has nothing left to read.
 */
export const up = `
-- The lowest UUIDv7 of a UTC day.
create function first_id_of(day date) returns uuid language sql immutable parallel safe
  return (lpad(to_hex((extract(epoch from day) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;

-- A Monday three weeks ahead or four: whoever works beside the migration writes before it.
do $$
declare
  tenant_table text;
  until date := date_trunc('week', now() at time zone 'UTC')::date + 28;
begin
  foreach tenant_table in array array['evidence', 'attestation_result'] loop
    execute format('alter table %I add constraint %I check (id < %L::uuid) not valid',
      tenant_table, tenant_table || '_before', first_id_of(until));
  end loop;
end $$;

-- Ids, numbers and nothing else, cross the tenants.
create policy find_relied on attestation_result for select to qflare_jobs using (true);
create policy find_relied on evidence for select to qflare_jobs using (true);
create policy find_relied on round for select to qflare_jobs using (true);
create policy find_relied on round_participant for select to qflare_jobs using (true);
grant select (organization_id, id, principal_id) on attestation_result to qflare_jobs;
grant select (id) on evidence to qflare_jobs;
grant select (organization_id, federation_id, round, state) on round to qflare_jobs;
grant select (organization_id, federation_id, round, attestation_id) on round_participant to qflare_jobs;
grant execute on function first_id_of(date) to qflare_jobs;

-- Incidents that were resolved go after a retention, with all that is of them, and what was counted of quiet organizations.
grant delete on incident, incident_event, incident_device to qflare_worker;
create policy list_old on incident for select to qflare_jobs using (true);
create policy list_old on monitor_signal for select to qflare_jobs using (true);
create policy list_old on threat_score for select to qflare_jobs using (true);
create policy list_old on device_network for select to qflare_jobs using (true);
grant select (organization_id, id, resolved_at) on incident to qflare_jobs;
grant select (organization_id, at) on monitor_signal to qflare_jobs;
grant select (organization_id, scored_at) on threat_score to qflare_jobs;
grant select (organization_id, seen_at) on device_network to qflare_jobs;

create function list_old_incidents(resolved_before timestamptz, page_size integer) returns table (organization_id uuid, id uuid)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select i.organization_id, i.id from incident i
    where i.status = 'RESOLVED' and i.resolved_at < resolved_before limit page_size;
end;

create function list_old_counts(counted_before timestamptz) returns setof uuid
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select s.organization_id from monitor_signal s where s.at < counted_before
    union select t.organization_id from threat_score t where t.scored_at < counted_before
    union select n.organization_id from device_network n where n.seen_at < counted_before;
end;

revoke execute on function list_old_incidents(timestamptz, integer), list_old_counts(timestamptz) from public;
grant execute on function list_old_incidents(timestamptz, integer), list_old_counts(timestamptz) to qflare_worker;
grant create on schema public to qflare_jobs;
alter function list_old_incidents(timestamptz, integer) owner to qflare_jobs;
alter function list_old_counts(timestamptz) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;

-- Enrolment tokens that nobody used until they ended go too, with their challenges.
grant delete on enrollment_token, challenge to qflare_worker;
grant select (organization_id, id, used_at, expires_at, revoked_at) on enrollment_token to qflare_worker;
grant select (organization_id, id) on challenge to qflare_worker;
create policy list_old on enrollment_token for select to qflare_jobs using (true);
grant select (organization_id, id, used_at, expires_at, revoked_at) on enrollment_token to qflare_jobs;

create function list_unused_tokens(ended_before timestamptz, page_size integer) returns table (organization_id uuid, id uuid)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select t.organization_id, t.id from enrollment_token t
    where t.used_at is null and least(t.expires_at, t.revoked_at) < ended_before limit page_size;
end;
revoke execute on function list_unused_tokens(timestamptz, integer) from public;
grant execute on function list_unused_tokens(timestamptz, integer) to qflare_worker;
grant create on schema public to qflare_jobs;
alter function list_unused_tokens(timestamptz, integer) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;

-- The directory has no policies: nobody may delete from it but by this, and what is of the caller's own organization.
create function forget_directory_entries(ids uuid[]) returns void
language sql security definer set search_path = pg_catalog, public
begin atomic
  delete from directory d where d.id = any (ids) and d.organization_id = current_organization();
end;
revoke execute on function forget_directory_entries(uuid[]) from public;
grant execute on function forget_directory_entries(uuid[]) to qflare_worker;
`
