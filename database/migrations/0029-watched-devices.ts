/** What the security monitor remembers of each device, where it exchanges from and how often it used its identity key, and what it restricts. */
export const up = `
-- By tags, as the log has them; within the longest window of a rule.
create table device_network (
  organization_id uuid not null,
  device_id uuid not null,
  network text not null check (length(network) = 11),
  -- last
  seen_at timestamptz not null,
  primary key (organization_id, device_id, network)
);
create index device_network_age on device_network (organization_id, seen_at);
select isolate_tenants('device_network'::regclass);
grant select, insert, delete, update (seen_at) on device_network to qflare_worker;

create table key_use (
  organization_id uuid not null,
  device_id uuid not null,
  -- of the identity key that it has now
  uses bigint not null check (uses >= 0),
  -- that these are many was said
  is_told boolean not null,
  primary key (organization_id, device_id)
);
select isolate_tenants('key_use'::regclass);
grant select, insert, update (uses, is_told) on key_use to qflare_worker;

-- Until when it may ask for little, and since when it has to attest before it gets a key of a round.
alter table principal add column slowed_until timestamptz, add column attestation_required_since timestamptz;
grant select (slowed_until, attestation_required_since) on principal to qflare_worker;
grant update (slowed_until, attestation_required_since) on principal to qflare_api, qflare_worker;
alter table incident_device drop constraint incident_device_response_check,
  add constraint incident_device_response_check
    check (response in ('slow', 'require_attestation', 'revoke_sessions', 'suspend'));
`
