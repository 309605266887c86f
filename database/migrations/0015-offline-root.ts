/**
 * The root of trust may live offline: its row keeps its place, with a sealed marker where the seed was. What it has to sign next waits as
 * a draft, one at most.
 */
export const up = `
create table trust_bundle_draft (
  sequence bigint primary key check (sequence > 1),
  body jsonb not null,
  -- When its new keys have to be known at the latest, so that they sign before those that they follow end.
  sign_before timestamptz,
  created_at timestamptz not null,
  -- When the log of the service last said that it waits.
  told_at timestamptz
);
create unique index trust_bundle_draft_alone on trust_bundle_draft ((true));
grant select on trust_bundle_draft to qflare_api, qflare_worker;
grant insert, update, delete on trust_bundle_draft to qflare_worker;

-- Puts signatures to the draft, which is the newest trust bundle then; its new keys are published from that time on. Whoever may call
-- this can store nothing but the draft. False: there is no draft of this sequence.
create function store_signed_draft(drafted_sequence bigint, signatures jsonb, at_time timestamptz) returns boolean
language sql security definer set search_path = pg_catalog, public
begin atomic
  with draft as (
    delete from trust_bundle_draft d where d.sequence = drafted_sequence returning d.body
  ), stored as (
    insert into trust_bundle (sequence, body, created_at)
      select drafted_sequence, draft.body || jsonb_build_object('signatures', signatures), at_time from draft
      returning sequence
  ), published as (
    update signing_key s set published_at = at_time from draft
      where s.status = 'PUBLISHED'
        and exists (select from jsonb_array_elements(draft.body -> 'keys') k where k ->> 'kid' = s.kid)
        and not exists (select from trust_bundle b, jsonb_array_elements(b.body -> 'keys') k
          where b.sequence = drafted_sequence - 1 and k ->> 'kid' = s.kid)
      returning s.kid
  )
  select exists (select from stored);
end;

grant select, delete on trust_bundle_draft to qflare_jobs;
grant select, insert on trust_bundle to qflare_jobs;
grant update (published_at) on signing_key to qflare_jobs;
revoke execute on function store_signed_draft(bigint, jsonb, timestamptz) from public;
grant execute on function store_signed_draft(bigint, jsonb, timestamptz) to qflare_api, qflare_worker;
grant create on schema public to qflare_jobs;
alter function store_signed_draft(bigint, jsonb, timestamptz) owner to qflare_jobs;
revoke create on schema public from qflare_jobs;
`
