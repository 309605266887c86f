/** A completion that nobody signed over the challenge is remembered with the challenge, which it does not spend. */
export const up = `
-- when the first of them came: one event tells of it, however many follow
alter table challenge add column mismatched_at timestamptz;
grant update (mismatched_at) on challenge to qflare_api;
`
