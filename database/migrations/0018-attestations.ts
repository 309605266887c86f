/** The life of evidence: what is known of attesters, challenges for sessions that go on, and all that a verdict was made of. */
export const up = `
-- what the enrolment token named: a name stands for the newest version of it
alter table principal
  add column policy_id text not null default 'none',
  -- by when the device has to have attested again; null where its policy does not ask for it, or it has no session
  add column next_attestation_at timestamptz,
  -- in a row, since it attested last
  add column attestations_missed integer not null default 0 check (attestations_missed >= 0);
grant update (next_attestation_at, attestations_missed) on principal to qflare_api;

-- What a device is, by its evidence. A state never changes its device, and its MAC keeps a writer of the database from giving it one.
create table attester_state (
  organization_id uuid not null,
  principal_id uuid not null,
  format text not null,
  attester_id text not null check (length(attester_id) between 1 and 128),
  -- canonical JSON, the format's
  state text not null,
  mac bytea not null check (length(mac) = 32),
  mac_key_version bigint not null,
  -- when its MAC was seen to be wrong, at a rotation: it is not made anew
  mac_mismatched_at timestamptz,
  updated_at timestamptz not null,
  -- when the device was revoked: the same attester may enrol again, as another one
  released_at timestamptz,
  primary key (organization_id, principal_id, format),
  foreign key (organization_id, principal_id) references principal (organization_id, id)
);
create unique index attester_state_live on attester_state (organization_id, format, attester_id) where released_at is null;
create index attester_state_mac_version on attester_state (mac_key_version, organization_id, principal_id, format)
  where mac_mismatched_at is null;

-- Of an enrolment whose policy wants keys to be activated: one attempt a challenge. What was asked of which attester, sealed.
alter table challenge
  add column credential_at timestamptz,
  add column sealed_activation bytea,
  add constraint challenge_activation_is_sound check (sealed_activation is null or credential_at is not null);
grant update (credential_at, sealed_activation) on challenge to qflare_api;

create table attestation_challenge (
  organization_id uuid not null,
  -- the device, which has one challenge at a time
  principal_id uuid not null,
  id uuid not null,
  -- the session that the evidence is for
  session_id uuid not null,
  sealed_challenge bytea not null,
  expires_at timestamptz not null,
  consumed_at timestamptz,
  -- of the signed answer, so that the same answer again finds the same result
  completion_hash bytea check (length(completion_hash) = 32),
  -- when the first answer came that the identity key had not signed: one event tells of it, however many follow
  mismatched_at timestamptz,
  -- what was found, where the evidence could be read
  attestation_result_id uuid,
  primary key (organization_id, principal_id),
  foreign key (organization_id, principal_id) references principal (organization_id, id),
  foreign key (organization_id, attestation_result_id) references attestation_result (organization_id, id),
  check ((consumed_at is null) = (completion_hash is null)),
  check (attestation_result_id is null or consumed_at is not null)
);

-- What a verdict was made of besides policy, trust anchors and reference values, which stay as they were at its time. Null in rows
-- of before: they cannot be appraised again.
alter table evidence
  add column binding bytea check (length(binding) = 32),
  -- what was known of the attesters before: JSON, as docs/policies.md has it
  add column attesters text,
  add constraint evidence_is_whole check ((binding is null) = (attesters is null));
alter table attestation_result
  -- by format: JSON
  add column findings text not null default '{}',
  -- undefined for an enrolment or a new identity key
  add column session_id uuid;
create index attestation_result_bad on attestation_result (organization_id, tier, id)
  where tier in ('warning', 'contraindicated');

select isolate_tenants(t) from unnest(array['attester_state', 'attestation_challenge']::regclass[]) t;
grant select, insert on attester_state, attestation_challenge to qflare_api;
grant update (state, mac, mac_key_version, updated_at, released_at) on attester_state to qflare_api;
grant update (id, session_id, sealed_challenge, expires_at, consumed_at, completion_hash, mismatched_at, attestation_result_id)
  on attestation_challenge to qflare_api;
grant select, update (mac, mac_key_version, mac_mismatched_at) on attester_state to qflare_worker;

create policy rotate_keys on attester_state for select to qflare_jobs using (true);
grant select (organization_id, principal_id, format, mac_key_version, mac_mismatched_at) on attester_state to qflare_jobs;

-- States whose MAC is under an older key, in order; what names them, and nothing else, crosses the tenants.
create function list_stale_attester_macs(below_version bigint, page_size integer)
returns table (organization_id uuid, principal_id uuid, format text)
language sql stable security definer set search_path = pg_catalog, public
begin atomic
  select s.organization_id, s.principal_id, s.format from attester_state s
    where s.mac_key_version < below_version and s.mac_mismatched_at is null
    order by s.mac_key_version, s.organization_id, s.principal_id, s.format limit page_size;
end;

-- A key under which a state has its MAC is not destroyed: destroy_kek finds that it did not hit.
create function keep_key_of_attester_macs() returns trigger language plpgsql set search_path = pg_catalog, public as $$
begin
  if exists (select from public.attester_state s where s.mac_key_version = old.version and s.mac_mismatched_at is null) then
    return null;
  end if;
  return new;
end $$;
create trigger keep_key_of_attester_macs before update on kek_version for each row
  when (new.status = 'DESTROYED' and old.purpose = 3) execute function keep_key_of_attester_macs();

revoke execute on function list_stale_attester_macs(bigint, integer), keep_key_of_attester_macs() from public;
grant execute on function list_stale_attester_macs(bigint, integer) to qflare_worker;
grant create on schema public to qflare_jobs;
alter function list_stale_attester_macs(bigint, integer) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
`
