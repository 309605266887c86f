/** Who trains together, in which rounds, and for whom a key of a round was given out. */
export const up = `
create type federation_policy as enum ('development', 'production');
create type round_state as enum ('OPEN', 'CLOSED', 'FAILED');

create table federation (
  organization_id uuid not null references organization (id),
  id uuid not null,
  name display_name not null,
  policy federation_policy not null,
  -- the API token or the coordinator that made it
  created_by uuid not null,
  created_at timestamptz not null,
  -- rounds count up; the row of the counter is what two who open one at once meet at
  last_round bigint not null default 0 check (last_round >= 0),
  primary key (organization_id, id),
  unique (organization_id, name)
);

create table federation_member (
  organization_id uuid not null,
  federation_id uuid not null,
  device_id uuid not null,
  added_at timestamptz not null,
  primary key (organization_id, federation_id, device_id),
  foreign key (organization_id, federation_id) references federation (organization_id, id),
  foreign key (organization_id, device_id) references principal (organization_id, id)
);

create table federation_coordinator (
  organization_id uuid not null,
  federation_id uuid not null,
  coordinator_id uuid not null,
  added_at timestamptz not null,
  primary key (organization_id, federation_id, coordinator_id),
  foreign key (organization_id, federation_id) references federation (organization_id, id),
  foreign key (organization_id, coordinator_id) references principal (organization_id, id)
);
create index federation_coordinator_of on federation_coordinator (organization_id, coordinator_id, federation_id);

create table round (
  organization_id uuid not null,
  federation_id uuid not null,
  round bigint not null check (round > 0),
  state round_state not null,
  min_participants integer not null check (min_participants > 0),
  opened_at timestamptz not null,
  closed_at timestamptz,
  -- SHA3-256 of what was asked when it was closed, so that the same again gives the same certificate
  closing_hash bytea check (length(closing_hash) = 32),
  aggregate_hash text,
  -- canonical JSON, exactly as it was signed
  certificate text,
  signature bytea,
  signature_kid text,
  -- the trust bundle that was in force then
  trust_sequence bigint references trust_bundle (sequence),
  event_id uuid,
  -- canonical JSON, exactly as it is logged: a certificate outlives the entries of the log
  event text,
  primary key (organization_id, federation_id, round),
  foreign key (organization_id, federation_id) references federation (organization_id, id),
  constraint round_is_sound check (
    num_nulls(closed_at, closing_hash, certificate, signature, signature_kid, trust_sequence, event_id, event)
      = case state when 'OPEN' then 8 else 0 end
    and (state <> 'OPEN' or aggregate_hash is null))
);

-- What was given out last for a device: the newest epoch of its newest session.
create table round_participant (
  organization_id uuid not null,
  federation_id uuid not null,
  round bigint not null,
  -- no foreign keys here and below: the one statement that writes a row reads it from the member, its principal and its
  -- session, and ten thousand checks of each would cost more than the write itself
  device_id uuid not null,
  session_id uuid not null,
  epoch bigint not null check (epoch >= 0),
  commitment text not null check (length(commitment) = 43),
  kid text not null,
  tier text not null check (tier in ('none', 'affirming', 'warning')),
  attestation_id uuid not null,
  given_at timestamptz not null,
  -- when the device said that it no longer has the chain of that epoch
  gone_at timestamptz,
  primary key (organization_id, federation_id, round, device_id)
);
create index round_participant_gone on round_participant (organization_id, federation_id, round, device_id)
  where gone_at is not null;

select isolate_tenants(t) from unnest(array[
  'federation', 'federation_member', 'federation_coordinator', 'round', 'round_participant']::regclass[]) t;

grant select, insert on federation, federation_member, federation_coordinator, round, round_participant to qflare_api;
grant update (last_round) on federation to qflare_api;
grant delete on federation_member, federation_coordinator to qflare_api;
grant update (state, closed_at, closing_hash, aggregate_hash, certificate, signature, signature_kid, trust_sequence,
  event_id, event) on round to qflare_api;
grant update (session_id, epoch, commitment, kid, tier, attestation_id, given_at, gone_at) on round_participant to qflare_api;
`
