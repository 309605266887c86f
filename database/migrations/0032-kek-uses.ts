/** How often each key-encryption key may have sealed, so that it gets a successor before that is too often. */
export const up = `
-- Reserved ahead of time, so never fewer than there were; of purposes that are counted. Null: made by a release that did not count.
alter table kek_version add column uses bigint;
grant update (uses) on kek_version to qflare_jobs;

-- Of one key, as many as were reserved by then (0 where nobody counted from its beginning); null, and nothing happens, when these would
-- be more than AES-GCM with random nonces may seal (NIST SP 800-38D, 8.3), or there is no such key.
create function reserve_kek_uses(kek_purpose integer, kek_number bigint, wanted integer) returns bigint
language sql security definer set search_path = pg_catalog, public
begin atomic
  update kek_version k set uses = k.uses + wanted
    where k.purpose = kek_purpose and k.version = kek_number and wanted > 0
      and (k.uses is null or k.uses + wanted <= 4294967296)
    returning coalesce(k.uses, 0);
end;
revoke execute on function reserve_kek_uses(integer, bigint, integer) from public;
grant execute on function reserve_kek_uses(integer, bigint, integer) to qflare_api, qflare_worker;
grant create on schema public to qflare_jobs;
alter function reserve_kek_uses(integer, bigint, integer) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
`
