/**
 * Keys of the service follow each other. A signing key is published in a trust bundle before it signs; when it is retired its seed is
 * erased, and its row stays, for what it signed.
 */
export const up = `
alter table signing_key drop constraint signing_key_status_check;
alter table signing_key add constraint signing_key_status_check check (status in ('PUBLISHED', 'ACTIVE', 'RETIRED'));
alter table signing_key alter column sealed_seed drop not null;
alter table signing_key
  add column published_at timestamptz, add column activated_at timestamptz, add column retired_at timestamptz;
update signing_key set published_at = not_before, activated_at = not_before,
  retired_at = case when status = 'RETIRED' then not_after end,
  sealed_seed = case when status <> 'RETIRED' then sealed_seed end;
alter table signing_key alter column published_at set not null;
alter table signing_key add constraint signing_key_is_sound check ((status = 'PUBLISHED') = (activated_at is null)
  and (status = 'RETIRED') = (retired_at is not null) and (status = 'RETIRED') = (sealed_seed is null));
-- Of each use and algorithm one successor at a time, beside the one that signs.
create unique index signing_key_published on signing_key (key_use, alg) where status = 'PUBLISHED';

grant update (status, sealed_seed, not_after, activated_at, retired_at) on signing_key to qflare_worker;
-- A retired key of the log vouches for no checkpoint that is newer than its last.
grant select (signed_at) on audit_checkpoint to qflare_worker;
`
