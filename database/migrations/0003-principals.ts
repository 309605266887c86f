/** Devices and coordinators, how they came in, and what was found out about them. */
export const up = `
-- Closed lists are types, not check constraints: a check is parsed again by every statement that writes its table.
create type principal_kind as enum ('device', 'coordinator');
create type principal_status as enum ('PENDING', 'ACTIVE', 'QUARANTINED', 'SUSPENDED', 'REVOKED');
create domain display_name as text check (length(value) between 1 and 128);
create domain pending_sessions as uuid[] check (cardinality(value) <= 2);

create table principal (
  organization_id uuid not null references organization (id),
  id uuid not null,
  kind principal_kind not null,
  name display_name not null,
  status principal_status not null,
  spiffe_id text not null,
  metadata jsonb not null,
  active_session_id uuid,
  -- oldest first
  pending_session_ids pending_sessions not null default '{}',
  created_at timestamptz not null,
  last_seen_at timestamptz,
  revoked_at timestamptz,
  primary key (organization_id, id),
  constraint principal_is_sound check ((status = 'REVOKED') = (revoked_at is not null)
    and (status = 'ACTIVE' or (active_session_id is null and cardinality(pending_session_ids) = 0)))
) with (fillfactor = 80);

create table identity_key (
  organization_id uuid not null,
  kid text not null,
  principal_id uuid not null,
  alg text not null,
  public_key bytea not null,
  status text not null check (status in ('ACTIVE', 'REPLACED', 'REVOKED')),
  replaced_by text,
  -- HMAC under a custody key, so that a writer of the database cannot swap a key
  mac bytea not null check (length(mac) = 32),
  mac_key_version bigint not null,
  created_at timestamptz not null,
  primary key (organization_id, kid),
  foreign key (organization_id, principal_id) references principal (organization_id, id)
);
create index identity_key_principal on identity_key (organization_id, principal_id);
create unique index identity_key_active on identity_key (organization_id, principal_id) where status = 'ACTIVE';

create table enrollment_token (
  organization_id uuid not null references organization (id),
  id uuid not null,
  kind principal_kind not null,
  name display_name,
  policy_id text not null,
  secret_hash bytea not null check (length(secret_hash) = 32),
  created_at timestamptz not null,
  expires_at timestamptz not null,
  used_at timestamptz,
  revoked_at timestamptz,
  principal_id uuid,
  primary key (organization_id, id),
  foreign key (organization_id, principal_id) references principal (organization_id, id),
  check ((used_at is null) = (principal_id is null)),
  check (used_at is null or revoked_at is null)
);

create table challenge (
  organization_id uuid not null,
  -- of an enrolment: the id of its token, which has one live challenge at a time
  id uuid not null,
  purpose text not null check (purpose in ('enroll')),
  sealed_challenge bytea not null,
  trust_sequence bigint not null references trust_bundle (sequence),
  expires_at timestamptz not null,
  consumed_at timestamptz,
  -- of the signed answer, so that the same answer again finds the same result
  completion_hash bytea check (length(completion_hash) = 32),
  principal_id uuid,
  primary key (organization_id, id),
  foreign key (organization_id, id) references enrollment_token (organization_id, id),
  foreign key (organization_id, principal_id) references principal (organization_id, id)
);

create table evidence (
  organization_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  -- canonical JSON, exactly as it was hashed and signed
  body text not null,
  received_at timestamptz not null,
  primary key (organization_id, id),
  foreign key (organization_id, principal_id) references principal (organization_id, id)
);

create table attestation_result (
  organization_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  evidence_id uuid not null,
  kid text not null,
  policy_id text not null,
  tier text not null check (tier in ('none', 'affirming', 'warning', 'contraindicated')),
  ear text not null,
  appraised_at timestamptz not null,
  expires_at timestamptz not null,
  primary key (organization_id, id),
  foreign key (organization_id, principal_id) references principal (organization_id, id),
  foreign key (organization_id, evidence_id) references evidence (organization_id, id)
);
create index attestation_result_principal on attestation_result (organization_id, principal_id, id);

select isolate_tenants(t) from unnest(array[
  'principal', 'identity_key', 'enrollment_token', 'challenge', 'evidence', 'attestation_result']::regclass[]) t;

grant select, insert on principal, identity_key, enrollment_token, challenge, evidence, attestation_result to qflare_api;
grant update (status, active_session_id, pending_session_ids, last_seen_at, revoked_at) on principal to qflare_api;
grant update (status, replaced_by) on identity_key to qflare_api;
grant update (used_at, revoked_at, principal_id) on enrollment_token to qflare_api;
grant update (sealed_challenge, trust_sequence, expires_at, consumed_at, completion_hash, principal_id)
  on challenge to qflare_api;
`
