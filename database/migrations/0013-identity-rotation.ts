/** A device replaces its identity key in place; keys that are old are flagged. */
export const up = `
-- counts the identity keys of the principal: an exchange that read one stores nothing once there is another
alter table principal add column key_generation integer not null default 1;
grant update (key_generation) on principal to qflare_api;

-- since when the key is older than the service wants it to be, as the schedule found
alter table identity_key add column rotation_due_since timestamptz;
create index identity_key_due on identity_key (organization_id, principal_id)
  where status = 'ACTIVE' and rotation_due_since is not null;
create index identity_key_unflagged on identity_key (created_at)
  where status = 'ACTIVE' and rotation_due_since is null;

create table rotation_challenge (
  organization_id uuid not null,
  -- the device, which has one challenge at a time
  principal_id uuid not null,
  id uuid not null,
  old_kid text not null,
  sealed_challenge bytea not null,
  expires_at timestamptz not null,
  consumed_at timestamptz,
  -- of the signed answer, so that the same answer again finds the same result
  completion_hash bytea check (length(completion_hash) = 32),
  -- when the first answer came that the old key had not signed: one event tells of it, however many follow
  mismatched_at timestamptz,
  -- what the rotation gave, where it was not refused
  attestation_result_id uuid,
  primary key (organization_id, principal_id),
  foreign key (organization_id, principal_id) references principal (organization_id, id),
  foreign key (organization_id, old_kid) references identity_key (organization_id, kid),
  foreign key (organization_id, attestation_result_id) references attestation_result (organization_id, id),
  check ((consumed_at is null) = (completion_hash is null)),
  check (attestation_result_id is null or consumed_at is not null)
);
select isolate_tenants('rotation_challenge');
grant select, insert on rotation_challenge to qflare_api;
grant update (id, old_kid, sealed_challenge, expires_at, consumed_at, completion_hash, mismatched_at, attestation_result_id)
  on rotation_challenge to qflare_api;
-- results for a key that was replaced are over
grant update (expires_at) on attestation_result to qflare_api;

grant select (organization_id, principal_id, kid, alg, status, created_at, rotation_due_since) on identity_key to qflare_worker;
grant update (rotation_due_since) on identity_key to qflare_worker;

-- The oldest keys in use that are not flagged, of all organizations: ids, and nothing else, cross the tenants.
create policy list_unflagged on identity_key for select to qflare_jobs using (true);
grant select (organization_id, kid, status, created_at, rotation_due_since) on identity_key to qflare_jobs;
create function list_unflagged_identity_keys(made_before timestamptz, batch_size integer)
returns table (organization_id uuid, kid text)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select k.organization_id, k.kid from identity_key k
    where k.status = 'ACTIVE' and k.rotation_due_since is null and k.created_at <= made_before
    order by k.created_at limit batch_size;
end;
revoke execute on function list_unflagged_identity_keys(timestamptz, integer) from public;
grant execute on function list_unflagged_identity_keys(timestamptz, integer) to qflare_worker;
grant create on schema public to qflare_jobs;
alter function list_unflagged_identity_keys(timestamptz, integer) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
`
