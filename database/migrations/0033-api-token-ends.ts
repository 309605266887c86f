/** That an API token ends is told once, ahead of time. */
export const up = `
alter table api_token add column end_told_at timestamptz;
grant update (end_told_at) on api_token to qflare_worker;

-- Ids and numbers, and nothing else, cross the tenants.
create policy list_ending on api_token for select to qflare_jobs using (true);
grant select (organization_id, id, created_at, expires_at, revoked_at, end_told_at) on api_token to qflare_jobs;

-- Those that can be used still, end within so long, and were made to live longer than short_life, the first to end first.
create function list_ending_api_tokens(at_time timestamptz, ahead interval, short_life interval, batch_size integer)
returns table (organization_id uuid, api_token_id uuid)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select t.organization_id, t.id from api_token t
    where t.revoked_at is null and t.end_told_at is null and t.expires_at > at_time and t.expires_at <= at_time + ahead
      and t.expires_at > t.created_at + short_life
    order by t.expires_at, t.id limit batch_size;
end;

create function count_ending_api_tokens(at_time timestamptz, ahead interval, short_life interval) returns bigint
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select count(*) from api_token t
    where t.revoked_at is null and t.expires_at > at_time and t.expires_at <= at_time + ahead
      and t.expires_at > t.created_at + short_life;
end;

revoke execute on function list_ending_api_tokens(timestamptz, interval, interval, integer),
  count_ending_api_tokens(timestamptz, interval, interval) from public;
grant execute on function list_ending_api_tokens(timestamptz, interval, interval, integer),
  count_ending_api_tokens(timestamptz, interval, interval) to qflare_worker;
grant create on schema public to qflare_jobs;
alter function list_ending_api_tokens(timestamptz, interval, interval, integer) owner to qflare_jobs;
alter function count_ending_api_tokens(timestamptz, interval, interval) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
`
