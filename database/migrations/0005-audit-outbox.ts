/** Where every change of state leaves its event, in its own transaction; the sequencer of the log takes it from here. */
export const up = `
-- Canonical JSON (RFC 8785): the bytes that will be hashed.
create domain audit_event as text check (octet_length(value) <= 65535);

create table audit_outbox (
  seq bigint generated always as identity (cache 1),
  organization_id uuid not null,
  event_id uuid primary key,
  entry audit_event not null
);
create index audit_outbox_seq on audit_outbox (seq);
select isolate_tenants('audit_outbox');
create policy sequence on audit_outbox for select to qflare_sequencer using (true);
grant insert on audit_outbox to qflare_api, qflare_worker;
grant select on audit_outbox to qflare_sequencer;
`
