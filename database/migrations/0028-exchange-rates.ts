/** How often each device exchanges, for the security monitor: what is usual for it, and what it did in the newest hour. */
export const up = `
create table exchange_rate (
  organization_id uuid not null,
  device_id uuid not null,
  -- hours since the Unix epoch, and what was counted in it
  hour bigint not null,
  count bigint not null check (count >= 0),
  -- exponentially weighted, of so many hours before
  mean double precision not null,
  variance double precision not null check (variance >= 0),
  hours integer not null check (hours >= 0),
  -- the hour was found to be unusual
  is_told boolean not null,
  primary key (organization_id, device_id)
);
select isolate_tenants('exchange_rate'::regclass);
grant select, insert, update (hour, count, mean, variance, hours, is_told) on exchange_rate to qflare_worker;
`
