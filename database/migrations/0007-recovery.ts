/** What the recovery of an admin token needs, on the machine itself: the worker's login makes it. */
export const up = `
create function find_organization(organization_name text) returns uuid
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select o.id from organization o where o.name = organization_name;
end;
revoke execute on function find_organization(text) from public;
grant execute on function find_organization(text) to qflare_worker;
grant create on schema public to qflare_jobs;
alter function find_organization(text) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;

grant update (revoked_at) on api_token to qflare_worker;
`
