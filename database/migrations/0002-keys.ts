/** The service's own keys. No tenant's data: these tables stand on the list of exceptions from RLS. */
export const up = `
create table kek_version (
  purpose integer not null check (purpose between 1 and 65535),
  version bigint not null check (version between 1 and 4294967295),
  sealed bytea not null,
  status text not null check (status in ('ACTIVE', 'RETIRED')),
  created_at timestamptz not null,
  primary key (purpose, version)
);
create unique index kek_version_active on kek_version (purpose) where status = 'ACTIVE';

create table signing_key (
  kid text primary key,
  key_use text not null check (key_use in ('root', 'bucket', 'audit', 'attestation')),
  alg text not null,
  public_key bytea not null,
  sealed_seed bytea not null,
  status text not null check (status in ('ACTIVE', 'RETIRED')),
  not_before timestamptz not null,
  not_after timestamptz not null,
  check (not_before < not_after)
);
create unique index signing_key_active on signing_key (key_use) where status = 'ACTIVE';

create table trust_bundle (
  sequence bigint primary key check (sequence > 0),
  body jsonb not null,
  created_at timestamptz not null
);

-- One row per record that was ever made; the record itself is in the temporal key store, never here.
create table temporal_key (
  kind text not null check (kind in ('epoch', 'bucket')),
  number bigint not null check (number >= 0),
  generation integer not null check (generation >= 0),
  record_hash bytea not null check (length(record_hash) = 32),
  made_at timestamptz not null,
  destroyed_at timestamptz,
  primary key (kind, number, generation)
);
create index temporal_key_alive on temporal_key (number) where destroyed_at is null;

create table bucket_certificate (
  suite text not null,
  bucket bigint not null,
  generation integer not null,
  kid text not null references signing_key (kid),
  public_key bytea not null,
  signature bytea not null,
  primary key (suite, bucket, generation)
);

grant select on kek_version, signing_key, trust_bundle, temporal_key, bucket_certificate to qflare_api, qflare_worker;
grant insert on kek_version, signing_key, trust_bundle, temporal_key, bucket_certificate to qflare_worker;
grant update (destroyed_at) on temporal_key to qflare_worker;
`
