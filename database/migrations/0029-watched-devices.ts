/** From which networks each device exchanges, for the security monitor: by tags of them, as the log has them, within its longest window. */
export const up = `
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
`
