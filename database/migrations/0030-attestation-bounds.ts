/**
 * What there is of results and evidence becomes the first partition of either (0031). That it lies before a bound is declared here and
 * checked there, beside whoever attests: what attaches it then has nothing left to read.
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
`
