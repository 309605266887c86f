-- Written by `npm run schema` from the catalogue of a migrated database. Read it; change it by a migration.

create role qflare_owner nologin;
create role qflare_migrator nologin;
create role qflare_api nologin;
create role qflare_worker nologin;
create role qflare_sequencer nologin;
create role qflare_auditor nologin;
create role qflare_jobs nologin;
create role qflare_queues nologin;
grant qflare_jobs to qflare_owner with inherit false, set true, admin false;
grant qflare_owner to qflare_migrator with inherit false, set true, admin false;

-- schema bullmq, of qflare_owner
grant usage on schema bullmq to qflare_queues;
alter default privileges for role qflare_owner in schema bullmq grant usage on sequences to qflare_queues;
alter default privileges for role qflare_owner in schema bullmq grant execute on functions to qflare_queues;
alter default privileges for role qflare_owner in schema bullmq grant delete, insert, select, update on tables to qflare_queues;
-- schema public, of pg_database_owner
grant usage on schema public to public;
grant usage on schema public to qflare_api;
grant usage on schema public to qflare_auditor;
grant usage on schema public to qflare_jobs;
grant usage on schema public to qflare_queues;
grant usage on schema public to qflare_sequencer;
grant usage on schema public to qflare_worker;

create domain audit_event as text CHECK ((octet_length(VALUE) <= 65535));
create domain device_capabilities as text[] CHECK (((cardinality(VALUE) <= 32) AND (''::text <> ALL (VALUE)) AND (array_to_string(VALUE, ' '::text, '!'::text) ~ '^([a-z0-9._-]{1,64}( [a-z0-9._-]{1,64})*)?$'::text)));
create domain device_label as text CHECK ((VALUE ~ '^[a-z0-9._-]{1,64}$'::text));
create domain display_name as text CHECK (((length(VALUE) >= 1) AND (length(VALUE) <= 128)));
create domain pending_sessions as uuid[] CHECK ((cardinality(VALUE) <= 2));
create domain renewal_nonces as bytea[] CHECK ((cardinality(VALUE) <= 32));
create domain sha256_hash as bytea CHECK ((length(VALUE) = 32));
create type principal_kind as enum ('device', 'coordinator');
create type principal_status as enum ('PENDING', 'ACTIVE', 'QUARANTINED', 'SUSPENDED', 'REVOKED');
create type round_state as enum ('OPEN', 'CLOSED', 'FAILED');
create type session_state as enum ('PENDING', 'ACTIVE', 'SUPERSEDED', 'CLOSED', 'EXPIRED', 'TIMED_OUT', 'FAILED', 'REVOKED');
create type trust_anchor_kind as enum ('root', 'intermediate', 'key');

CREATE OR REPLACE FUNCTION public.collateral_stage(issued_at timestamp with time zone, next_update_at timestamp with time zone, at timestamp with time zone, warning_seconds integer)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE
BEGIN ATOMIC
 SELECT
         CASE
             WHEN (next_update_at <= at) THEN 'ended'::text
             WHEN (EXTRACT(epoch FROM (next_update_at - at)) <= LEAST((warning_seconds)::numeric, (EXTRACT(epoch FROM (next_update_at - issued_at)) / (4)::numeric))) THEN 'ending'::text
             ELSE NULL::text
         END AS "case";
END;
-- of qflare_owner; may be executed by qflare_jobs, qflare_worker: collateral_stage(timestamp with time zone,timestamp with time zone,timestamp with time zone,integer)

CREATE OR REPLACE FUNCTION public.count_attestations_before(until date)
 RETURNS TABLE(results bigint, pieces bigint)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT ( SELECT count(*) AS count
            FROM attestation_result
           WHERE (attestation_result.id < first_id_of(count_attestations_before.until))) AS count,
     ( SELECT count(*) AS count
            FROM evidence
           WHERE (evidence.id < first_id_of(count_attestations_before.until))) AS count;
END;
-- of qflare_jobs; may be executed by qflare_owner: count_attestations_before(date)

CREATE OR REPLACE FUNCTION public.count_ending_api_tokens(at_time timestamp with time zone, ahead interval, short_life interval)
 RETURNS bigint
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT count(*) AS count
    FROM api_token t
   WHERE ((t.revoked_at IS NULL) AND (t.expires_at > count_ending_api_tokens.at_time) AND (t.expires_at <= (count_ending_api_tokens.at_time + count_ending_api_tokens.ahead)) AND (t.expires_at > (t.created_at + count_ending_api_tokens.short_life)));
END;
-- of qflare_jobs; may be executed by qflare_worker: count_ending_api_tokens(timestamp with time zone,interval,interval)

CREATE OR REPLACE FUNCTION public.count_open_incidents()
 RETURNS TABLE(severity text, incidents bigint)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT i.severity,
     count(*) AS count
    FROM incident i
   WHERE (i.status = 'OPEN'::text)
   GROUP BY i.severity;
END;
-- of qflare_jobs; may be executed by qflare_worker: count_open_incidents()

CREATE OR REPLACE FUNCTION public.count_open_sessions()
 RETURNS TABLE(bucket bigint, last_epoch bigint, sessions bigint)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT s.bucket,
     s.last_epoch,
     count(*) AS count
    FROM session s
   WHERE (s.chains IS NOT NULL)
   GROUP BY s.bucket, s.last_epoch;
END;
-- of qflare_jobs; may be executed by qflare_worker: count_open_sessions()

CREATE OR REPLACE FUNCTION public.count_sessions_of_day(day date)
 RETURNS TABLE(sessions bigint, open_sessions bigint)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT count(*) AS count,
     ( SELECT count(*) AS count
            FROM session o
           WHERE ((o.chains IS NOT NULL) AND (o.id >= ((lpad(to_hex(((EXTRACT(epoch FROM count_sessions_of_day.day) * (1000)::numeric))::bigint), 12, '0'::text) || repeat('0'::text, 20)))::uuid) AND (o.id < ((lpad(to_hex(((EXTRACT(epoch FROM (count_sessions_of_day.day + 1)) * (1000)::numeric))::bigint), 12, '0'::text) || repeat('0'::text, 20)))::uuid))) AS count
    FROM session s
   WHERE ((s.id >= ((lpad(to_hex(((EXTRACT(epoch FROM count_sessions_of_day.day) * (1000)::numeric))::bigint), 12, '0'::text) || repeat('0'::text, 20)))::uuid) AND (s.id < ((lpad(to_hex(((EXTRACT(epoch FROM (count_sessions_of_day.day + 1)) * (1000)::numeric))::bigint), 12, '0'::text) || repeat('0'::text, 20)))::uuid));
END;
-- of qflare_jobs; may be executed by qflare_owner: count_sessions_of_day(date)

CREATE OR REPLACE FUNCTION public.count_stale_identity_macs(below_version bigint)
 RETURNS bigint
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT count(*) AS count
    FROM identity_key k
   WHERE ((k.mac_key_version < count_stale_identity_macs.below_version) AND (k.mac_mismatched_at IS NULL));
END;
-- of qflare_jobs; may be executed by qflare_worker: count_stale_identity_macs(bigint)

CREATE OR REPLACE FUNCTION public.current_organization()
 RETURNS uuid
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN (NULLIF(current_setting('qflare.organization_id'::text, true), ''::text))::uuid;
-- of qflare_owner; may be executed by public: current_organization()

CREATE OR REPLACE FUNCTION public.day_of_id(id uuid)
 RETURNS date
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ((to_timestamp(((((('x'::text || "left"(replace((id)::text, '-'::text, ''::text), 12)))::bit(48))::bigint / 1000))::double precision) AT TIME ZONE 'UTC'::text))::date;
-- of qflare_owner; may be executed by public: day_of_id(uuid)

CREATE OR REPLACE FUNCTION public.destroy_kek(kek_purpose integer, kek_number bigint, at_time timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 WITH hit AS (
          UPDATE kek_version k SET status = 'DESTROYED'::text, sealed = NULL::bytea, destroyed_at = destroy_kek.at_time
           WHERE ((k.purpose = destroy_kek.kek_purpose) AND (k.version = destroy_kek.kek_number) AND (k.status = 'RETIRED'::text) AND (k.retired_at <= (destroy_kek.at_time - '1 day'::interval)) AND (NOT is_kek_used(destroy_kek.kek_purpose, destroy_kek.kek_number, destroy_kek.at_time)))
           RETURNING 1 AS "?column?"
         )
  SELECT (EXISTS ( SELECT
            FROM hit)) AS "exists";
END;
-- of qflare_jobs; may be executed by qflare_worker: destroy_kek(integer,bigint,timestamp with time zone)

CREATE OR REPLACE FUNCTION public.drop_attestation_partition(last_day date, made_before timestamp with time zone)
 RETURNS TABLE(results bigint, pieces bigint)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
 SET lock_timeout TO '250ms'
AS $function$
declare
  oldest record;
  counted record;
begin
  if made_before is null or made_before > now() - interval '2 days' then
    raise exception 'results are kept for two days at least' using errcode = 'QF003';
  end if;
  if last_day::timestamp at time zone 'UTC' > made_before then
    raise exception 'results of before % were made later than that', last_day using errcode = 'QF003';
  end if;
  perform pg_advisory_xact_lock(hashtext('qflare attestation partitions'));
  select * into oldest from public.list_attestation_partitions() limit 1;
  if oldest.until is null or oldest.until > last_day then return; end if;
  if oldest.until < last_day then
    raise exception 'there are older results than those of before %', last_day using errcode = 'QF003';
  end if;
  if exists (select from public.list_relied_results(last_day, 1)) then
    raise exception 'results of before % are relied upon, and not kept', last_day using errcode = 'QF003';
  end if;
  select * into strict counted from public.count_attestations_before(last_day);
  execute format('drop table public.%I', 'evidence_' || oldest.suffix);
  execute format('drop table public.%I', 'attestation_result_' || oldest.suffix);
  return query select counted.results, counted.pieces;
end $function$;
-- of qflare_owner; may be executed by qflare_worker: drop_attestation_partition(date,timestamp with time zone)

CREATE OR REPLACE FUNCTION public.drop_session_partition(day date, ended_before timestamp with time zone)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
 SET lock_timeout TO '250ms'
AS $function$
declare
  partition_name text := 'session_' || to_char(day, 'YYYYMMDD');
  counted record;
begin
  if ended_before is null or ended_before > now() - interval '1 day' then
    raise exception 'sessions are kept for a day at least' using errcode = 'QF003';
  end if;
  if (day + 1)::timestamp at time zone 'UTC' + interval '2 hours' > ended_before then
    raise exception 'sessions of % ended later than that', day using errcode = 'QF003';
  end if;
  perform pg_advisory_xact_lock(hashtext('qflare session partitions'));
  if to_regclass('public.' || quote_ident(partition_name)) is null then return null; end if;
  select * into strict counted from public.count_sessions_of_day(day);
  if counted.open_sessions > 0 then
    raise exception '% sessions of % still hold key material', counted.open_sessions, day using errcode = 'QF003';
  end if;
  execute format('drop table public.%I', partition_name);
  return counted.sessions;
end $function$;
-- of qflare_owner; may be executed by qflare_worker: drop_session_partition(date,timestamp with time zone)

CREATE OR REPLACE FUNCTION public.expect_one(hits bigint)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
begin
  if hits <> 1 then raise exception 'expected one row, hit %', hits using errcode = 'QF001'; end if;
end $function$;
-- of qflare_owner; may be executed by public: expect_one(bigint)

CREATE OR REPLACE FUNCTION public.find_missing_events(from_index bigint, to_index bigint)
 RETURNS SETOF bigint
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT i.i
    FROM generate_series(find_missing_events.from_index, (LEAST(find_missing_events.to_index, (find_missing_events.from_index + 65536)) - 1)) i(i)
 EXCEPT
  SELECT e.index
    FROM audit_event_id e
   WHERE ((e.index >= find_missing_events.from_index) AND (e.index < find_missing_events.to_index));
END;
-- of qflare_jobs; may be executed by qflare_auditor: find_missing_events(bigint,bigint)

CREATE OR REPLACE FUNCTION public.find_organization(organization_name text)
 RETURNS uuid
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT o.id
    FROM organization o
   WHERE (o.name = find_organization.organization_name);
END;
-- of qflare_jobs; may be executed by qflare_worker: find_organization(text)

CREATE OR REPLACE FUNCTION public.first_id_of(day date)
 RETURNS uuid
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE
RETURN ((lpad(to_hex(((EXTRACT(epoch FROM day) * (1000)::numeric))::bigint), 12, '0'::text) || repeat('0'::text, 20)))::uuid;
-- of qflare_owner; may be executed by public, qflare_jobs: first_id_of(date)

CREATE OR REPLACE FUNCTION public.forget_directory_entries(ids uuid[])
 RETURNS void
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 DELETE FROM directory d
   WHERE ((d.id = ANY (forget_directory_entries.ids)) AND (d.organization_id = current_organization()));
END;
-- of qflare_owner; may be executed by qflare_worker: forget_directory_entries(uuid[])

CREATE OR REPLACE FUNCTION public.is_kek_used(kek_purpose integer, kek_number bigint, at_time timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT
         CASE kek_purpose
             WHEN 2 THEN (EXISTS ( SELECT
                FROM signing_key s
               WHERE (sealed_under(s.sealed_seed) = is_kek_used.kek_number)))
             WHEN 3 THEN (EXISTS ( SELECT
                FROM identity_key k
               WHERE ((k.mac_key_version = is_kek_used.kek_number) AND (k.mac_mismatched_at IS NULL))))
             WHEN 4 THEN (EXISTS ( SELECT
                FROM challenge c
               WHERE ((c.expires_at > is_kek_used.at_time) AND (sealed_under(c.sealed_challenge) = is_kek_used.kek_number))))
             WHEN 5 THEN (EXISTS ( SELECT
                FROM temporal_key t
               WHERE ((t.destroyed_at IS NULL) AND ((t.key_version IS NULL) OR (t.key_version = is_kek_used.kek_number)))))
             ELSE true
         END AS "case";
END;
-- of qflare_jobs; may be executed by qflare_worker: is_kek_used(integer,bigint,timestamp with time zone)

CREATE OR REPLACE FUNCTION public.is_readable_by_auditor(organization uuid)
 RETURNS boolean
 LANGUAGE sql
 STABLE PARALLEL SAFE
RETURN ((organization = current_organization()) OR ((organization = '00000000-0000-0000-0000-000000000000'::uuid) AND (current_organization() IS NOT NULL)));
-- of qflare_owner; may be executed by public: is_readable_by_auditor(uuid)

CREATE OR REPLACE FUNCTION public.is_session_sound(state session_state, epochs bigint, chain_bytes integer, hash_bytes integer, is_confirmed boolean, is_superseded boolean, is_ended boolean)
 RETURNS boolean
 LANGUAGE plpgsql
 IMMUTABLE
AS $function$
begin
  return epochs >= 1 and case
    when state in ('PENDING', 'ACTIVE', 'SUPERSEDED') then
      chain_bytes = 99 * epochs and hash_bytes = 32 and not is_ended
        and is_confirmed = (state <> 'PENDING') and is_superseded = (state = 'SUPERSEDED')
    else chain_bytes is null and hash_bytes is null and is_ended
      and (is_confirmed or state not in ('CLOSED', 'EXPIRED'))
    end;
end $function$;
-- of qflare_owner; may be executed by public: is_session_sound(session_state,bigint,integer,integer,boolean,boolean,boolean)

CREATE OR REPLACE FUNCTION public.isolate_log(log_table regclass)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'public'
AS $function$
begin
  execute format('alter table %s enable row level security', log_table);
  execute format('alter table %s force row level security', log_table);
  execute format('create policy tenant_only on %s as restrictive to qflare_api, qflare_worker, qflare_auditor
    using (is_readable_by_auditor(organization_id)) with check (organization_id = current_organization())', log_table);
  execute format('create policy tenant on %s as permissive to qflare_api, qflare_worker, qflare_auditor
    using (is_readable_by_auditor(organization_id)) with check (organization_id = current_organization())', log_table);
  -- Nobody reads an entry that no published checkpoint covers.
  execute format('create policy published on %s as restrictive for select to qflare_auditor
    using (index < (select published_size from audit_log_state))', log_table);
  execute format('create policy sequence on %s for select to qflare_sequencer using (true)', log_table);
  execute format('create policy append on %s for insert to qflare_sequencer with check (true)', log_table);
end $function$;
-- of qflare_owner; may be executed by nobody else: isolate_log(regclass)

CREATE OR REPLACE FUNCTION public.isolate_tenants(tenant_table regclass, tenant_column name DEFAULT 'organization_id'::name)
 RETURNS void
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'public'
AS $function$
begin
  execute format('alter table %s enable row level security', tenant_table);
  execute format('alter table %s force row level security', tenant_table);
  execute format('create policy tenant_only on %s as restrictive to qflare_api, qflare_worker, qflare_auditor
    using (%I = current_organization()) with check (%I = current_organization())', tenant_table, tenant_column, tenant_column);
  execute format('create policy tenant on %s as permissive to qflare_api, qflare_worker, qflare_auditor
    using (%I = current_organization()) with check (%I = current_organization())', tenant_table, tenant_column, tenant_column);
end $function$;
-- of qflare_owner; may be executed by nobody else: isolate_tenants(regclass,name)

CREATE OR REPLACE FUNCTION public.keep_key_of_attester_macs()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'public'
AS $function$
begin
  if exists (select from public.attester_state s where s.mac_key_version = old.version and s.mac_mismatched_at is null) then
    return null;
  end if;
  return new;
end $function$;
-- of qflare_owner; may be executed by nobody else: keep_key_of_attester_macs()

CREATE OR REPLACE FUNCTION public.keep_key_of_input_macs()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'public'
AS $function$
begin
  if exists (select from public.trust_anchor a where a.mac_key_version = old.version and a.mac_mismatched_at is null)
    or exists (select from public.reference_value v where v.mac_key_version = old.version and v.mac_mismatched_at is null)
    or exists (select from public.collateral c where c.mac_key_version = old.version and c.mac_mismatched_at is null) then
    return null;
  end if;
  return new;
end $function$;
-- of qflare_owner; may be executed by nobody else: keep_key_of_input_macs()

CREATE OR REPLACE FUNCTION public.keep_key_of_policy_macs()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'public'
AS $function$
begin
  if exists (select from public.appraisal_policy p where p.mac_key_version = old.version and p.mac_mismatched_at is null) then
    return null;
  end if;
  return new;
end $function$;
-- of qflare_owner; may be executed by nobody else: keep_key_of_policy_macs()

CREATE OR REPLACE FUNCTION public.list_attestation_partitions()
 RETURNS TABLE(suffix text, until date)
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT p.suffix,
     day_of_id(p.bound) AS day_of_id
    FROM ( SELECT regexp_replace((c.relname)::text, '^attestation_result_'::text, ''::text) AS suffix,
             ("substring"(pg_get_expr(c.relpartbound, c.oid), 'TO \(''([0-9a-f-]{36})''\)'::text))::uuid AS bound
            FROM (pg_inherits i
              JOIN pg_class c ON ((c.oid = i.inhrelid)))
           WHERE (i.inhparent = ('attestation_result'::regclass)::oid)) p
   WHERE (p.bound IS NOT NULL)
   ORDER BY p.bound;
END;
-- of qflare_owner; may be executed by public: list_attestation_partitions()

CREATE OR REPLACE FUNCTION public.list_due_incident_notices(due_at timestamp with time zone, page_size integer)
 RETURNS TABLE(organization_id uuid, id uuid)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT d.organization_id,
     d.id
    FROM ( SELECT n.organization_id,
             n.id,
             n.next_attempt_at,
             row_number() OVER (PARTITION BY n.organization_id ORDER BY n.next_attempt_at, n.id) AS turn
            FROM incident_notice n
           WHERE (n.next_attempt_at <= list_due_incident_notices.due_at)) d
   ORDER BY d.turn, d.next_attempt_at, d.id
  LIMIT list_due_incident_notices.page_size;
END;
-- of qflare_jobs; may be executed by qflare_worker: list_due_incident_notices(timestamp with time zone,integer)

CREATE OR REPLACE FUNCTION public.list_ended_sessions(of_bucket bigint, made timestamp with time zone, until timestamp with time zone, superseded timestamp with time zone, page_size integer)
 RETURNS TABLE(organization_id uuid, id uuid)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT s.organization_id,
     s.id
    FROM session s
   WHERE ((s.bucket = list_ended_sessions.of_bucket) AND (s.chains IS NOT NULL) AND (((s.state = 'PENDING'::session_state) AND (s.created_at <= list_ended_sessions.made)) OR (s.expires_at <= list_ended_sessions.until) OR ((s.state = 'SUPERSEDED'::session_state) AND (s.superseded_at <= list_ended_sessions.superseded))))
  LIMIT list_ended_sessions.page_size;
END;
-- of qflare_jobs; may be executed by qflare_worker: list_ended_sessions(bigint,timestamp with time zone,timestamp with time zone,timestamp with time zone,integer)

CREATE OR REPLACE FUNCTION public.list_ending_api_tokens(at_time timestamp with time zone, ahead interval, short_life interval, batch_size integer)
 RETURNS TABLE(organization_id uuid, api_token_id uuid)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT t.organization_id,
     t.id
    FROM api_token t
   WHERE ((t.revoked_at IS NULL) AND (t.end_told_at IS NULL) AND (t.expires_at > list_ending_api_tokens.at_time) AND (t.expires_at <= (list_ending_api_tokens.at_time + list_ending_api_tokens.ahead)) AND (t.expires_at > (t.created_at + list_ending_api_tokens.short_life)))
   ORDER BY t.expires_at, t.id
  LIMIT list_ending_api_tokens.batch_size;
END;
-- of qflare_jobs; may be executed by qflare_worker: list_ending_api_tokens(timestamp with time zone,interval,interval,integer)

CREATE OR REPLACE FUNCTION public.list_old_counts(counted_before timestamp with time zone)
 RETURNS SETOF uuid
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT s.organization_id
    FROM monitor_signal s
   WHERE (s.at < list_old_counts.counted_before)
 UNION
  SELECT t.organization_id
    FROM threat_score t
   WHERE (t.scored_at < list_old_counts.counted_before)
 UNION
  SELECT n.organization_id
    FROM device_network n
   WHERE (n.seen_at < list_old_counts.counted_before);
END;
-- of qflare_jobs; may be executed by qflare_worker: list_old_counts(timestamp with time zone)

CREATE OR REPLACE FUNCTION public.list_old_incidents(resolved_before timestamp with time zone, page_size integer)
 RETURNS TABLE(organization_id uuid, id uuid)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT i.organization_id,
     i.id
    FROM incident i
   WHERE ((i.status = 'RESOLVED'::text) AND (i.resolved_at < list_old_incidents.resolved_before))
  LIMIT list_old_incidents.page_size;
END;
-- of qflare_jobs; may be executed by qflare_worker: list_old_incidents(timestamp with time zone,integer)

CREATE OR REPLACE FUNCTION public.list_old_revocations(told_before timestamp with time zone, page_size integer)
 RETURNS SETOF uuid
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT DISTINCT o.organization_id
    FROM ( SELECT r.organization_id
            FROM revocation r
           WHERE (r.changed_at < list_old_revocations.told_before)
           ORDER BY r.changed_at
          LIMIT list_old_revocations.page_size) o;
END;
-- of qflare_jobs; may be executed by qflare_worker: list_old_revocations(timestamp with time zone,integer)

CREATE OR REPLACE FUNCTION public.list_open_buckets()
 RETURNS SETOF bigint
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 WITH RECURSIVE buckets AS (
          SELECT min(session.bucket) AS bucket
            FROM session
           WHERE (session.chains IS NOT NULL)
         UNION ALL
          SELECT ( SELECT min(s.bucket) AS min
                    FROM session s
                   WHERE ((s.bucket > b.bucket) AND (s.chains IS NOT NULL))) AS min
            FROM buckets b
           WHERE (b.bucket IS NOT NULL)
         )
  SELECT buckets.bucket
    FROM buckets
   WHERE (buckets.bucket IS NOT NULL);
END;
-- of qflare_jobs; may be executed by qflare_worker: list_open_buckets()

CREATE OR REPLACE FUNCTION public.list_organizations(before_id uuid, page_size integer)
 RETURNS TABLE(id uuid, name text, created_at timestamp with time zone)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT o.id,
     o.name,
     o.created_at
    FROM organization o
   WHERE (o.id < COALESCE(list_organizations.before_id, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
   ORDER BY o.id DESC
  LIMIT list_organizations.page_size;
END;
-- of qflare_jobs; may be executed by qflare_api: list_organizations(uuid,integer)

CREATE OR REPLACE FUNCTION public.list_overdue_attestations(due_before timestamp with time zone, page_size integer)
 RETURNS TABLE(organization_id uuid, id uuid)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT p.organization_id,
     p.id
    FROM principal p
   WHERE ((p.status = 'ACTIVE'::principal_status) AND (p.active_session_id IS NOT NULL) AND (p.next_attestation_at <= list_overdue_attestations.due_before))
   ORDER BY p.next_attestation_at
  LIMIT list_overdue_attestations.page_size;
END;
-- of qflare_jobs; may be executed by qflare_worker: list_overdue_attestations(timestamp with time zone,integer)

CREATE OR REPLACE FUNCTION public.list_relied_results(until date, page_size integer)
 RETURNS TABLE(organization_id uuid, id uuid)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 WITH newest AS (
          SELECT DISTINCT ON (r.organization_id, r.principal_id) r.organization_id,
             r.principal_id,
             r.id
            FROM attestation_result r
           WHERE (r.id < first_id_of(list_relied_results.until))
           ORDER BY r.organization_id, r.principal_id, r.id DESC
         ), relied AS (
          SELECT n.organization_id,
             n.id
            FROM (newest n
              JOIN principal p ON (((p.organization_id = n.organization_id) AND (p.id = n.principal_id) AND (p.status <> 'REVOKED'::principal_status))))
           WHERE (NOT (EXISTS ( SELECT
                    FROM attestation_result later
                   WHERE ((later.organization_id = n.organization_id) AND (later.principal_id = n.principal_id) AND (later.id >= first_id_of(list_relied_results.until))))))
         UNION
          SELECT g.organization_id,
             g.attestation_id
            FROM ((round o
              JOIN round_participant g ON (((g.organization_id = o.organization_id) AND (g.federation_id = o.federation_id) AND (g.round = o.round))))
              JOIN attestation_result r ON (((r.organization_id = g.organization_id) AND (r.id = g.attestation_id))))
           WHERE ((o.state = 'OPEN'::round_state) AND (g.attestation_id < first_id_of(list_relied_results.until)))
         )
  SELECT l.organization_id,
     l.id
    FROM relied l
   WHERE (NOT (EXISTS ( SELECT
            FROM kept_attestation_result k
           WHERE ((k.organization_id = l.organization_id) AND (k.id = l.id)))))
  LIMIT list_relied_results.page_size;
END;
-- of qflare_jobs; may be executed by qflare_owner, qflare_worker: list_relied_results(date,integer)

CREATE OR REPLACE FUNCTION public.list_stale_attester_macs(below_version bigint, page_size integer)
 RETURNS TABLE(organization_id uuid, principal_id uuid, format text)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT s.organization_id,
     s.principal_id,
     s.format
    FROM attester_state s
   WHERE ((s.mac_key_version < list_stale_attester_macs.below_version) AND (s.mac_mismatched_at IS NULL))
   ORDER BY s.mac_key_version, s.organization_id, s.principal_id, s.format
  LIMIT list_stale_attester_macs.page_size;
END;
-- of qflare_jobs; may be executed by qflare_worker: list_stale_attester_macs(bigint,integer)

CREATE OR REPLACE FUNCTION public.list_stale_collateral_macs(below_version bigint, page_size integer)
 RETURNS TABLE(organization_id uuid, id uuid)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT c.organization_id,
     c.id
    FROM collateral c
   WHERE ((c.mac_key_version < list_stale_collateral_macs.below_version) AND (c.mac_mismatched_at IS NULL))
   ORDER BY c.mac_key_version, c.organization_id, c.id
  LIMIT list_stale_collateral_macs.page_size;
END;
-- of qflare_jobs; may be executed by qflare_worker: list_stale_collateral_macs(bigint,integer)

CREATE OR REPLACE FUNCTION public.list_stale_identity_macs(below_version bigint, page_size integer)
 RETURNS TABLE(organization_id uuid, kid text)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT k.organization_id,
     k.kid
    FROM identity_key k
   WHERE ((k.mac_key_version < list_stale_identity_macs.below_version) AND (k.mac_mismatched_at IS NULL))
   ORDER BY k.mac_key_version, k.organization_id, k.kid
  LIMIT list_stale_identity_macs.page_size;
END;
-- of qflare_jobs; may be executed by qflare_worker: list_stale_identity_macs(bigint,integer)

CREATE OR REPLACE FUNCTION public.list_stale_policy_macs(below_version bigint, page_size integer)
 RETURNS TABLE(organization_id uuid, name text, version integer)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT p.organization_id,
     p.name,
     p.version
    FROM appraisal_policy p
   WHERE ((p.mac_key_version < list_stale_policy_macs.below_version) AND (p.mac_mismatched_at IS NULL))
   ORDER BY p.mac_key_version, p.organization_id, p.name, p.version
  LIMIT list_stale_policy_macs.page_size;
END;
-- of qflare_jobs; may be executed by qflare_worker: list_stale_policy_macs(bigint,integer)

CREATE OR REPLACE FUNCTION public.list_stale_reference_value_macs(below_version bigint, page_size integer)
 RETURNS TABLE(organization_id uuid, id uuid)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT v.organization_id,
     v.id
    FROM reference_value v
   WHERE ((v.mac_key_version < list_stale_reference_value_macs.below_version) AND (v.mac_mismatched_at IS NULL))
   ORDER BY v.mac_key_version, v.organization_id, v.id
  LIMIT list_stale_reference_value_macs.page_size;
END;
-- of qflare_jobs; may be executed by qflare_worker: list_stale_reference_value_macs(bigint,integer)

CREATE OR REPLACE FUNCTION public.list_stale_trust_anchor_macs(below_version bigint, page_size integer)
 RETURNS TABLE(organization_id uuid, id uuid)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT a.organization_id,
     a.id
    FROM trust_anchor a
   WHERE ((a.mac_key_version < list_stale_trust_anchor_macs.below_version) AND (a.mac_mismatched_at IS NULL))
   ORDER BY a.mac_key_version, a.organization_id, a.id
  LIMIT list_stale_trust_anchor_macs.page_size;
END;
-- of qflare_jobs; may be executed by qflare_worker: list_stale_trust_anchor_macs(bigint,integer)

CREATE OR REPLACE FUNCTION public.list_unflagged_identity_keys(made_before timestamp with time zone, batch_size integer)
 RETURNS TABLE(organization_id uuid, kid text)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT k.organization_id,
     k.kid
    FROM identity_key k
   WHERE ((k.status = 'ACTIVE'::text) AND (k.rotation_due_since IS NULL) AND (k.created_at <= list_unflagged_identity_keys.made_before))
   ORDER BY k.created_at
  LIMIT list_unflagged_identity_keys.batch_size;
END;
-- of qflare_jobs; may be executed by qflare_worker: list_unflagged_identity_keys(timestamp with time zone,integer)

CREATE OR REPLACE FUNCTION public.list_unneeded_results(page_size integer)
 RETURNS TABLE(organization_id uuid, id uuid)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT k.organization_id,
     k.id
    FROM kept_attestation_result k
   WHERE ((NOT ((EXISTS ( SELECT
            FROM principal p
           WHERE ((p.organization_id = k.organization_id) AND (p.id = k.principal_id) AND (p.status <> 'REVOKED'::principal_status)))) AND (NOT (EXISTS ( SELECT
            FROM attestation_result later
           WHERE ((later.organization_id = k.organization_id) AND (later.principal_id = k.principal_id) AND (later.id > k.id))))) AND (NOT (EXISTS ( SELECT
            FROM kept_attestation_result later
           WHERE ((later.organization_id = k.organization_id) AND (later.principal_id = k.principal_id) AND (later.id > k.id))))))) AND (NOT (EXISTS ( SELECT
            FROM (round o
              JOIN round_participant g ON (((g.organization_id = o.organization_id) AND (g.federation_id = o.federation_id) AND (g.round = o.round))))
           WHERE ((o.organization_id = k.organization_id) AND (o.state = 'OPEN'::round_state) AND (g.attestation_id = k.id))))))
  LIMIT list_unneeded_results.page_size;
END;
-- of qflare_jobs; may be executed by qflare_worker: list_unneeded_results(integer)

CREATE OR REPLACE FUNCTION public.list_untold_collateral(at timestamp with time zone, warning_seconds integer, page_size integer)
 RETURNS TABLE(organization_id uuid, id uuid)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT s.organization_id,
     s.id
    FROM ( SELECT c.organization_id,
             c.id,
             c.next_update_at,
             collateral_stage(c.issued_at, c.next_update_at, list_untold_collateral.at, list_untold_collateral.warning_seconds) AS stage
            FROM collateral c
           WHERE ((c.removed_at IS NULL) AND (c.next_update_at <= (list_untold_collateral.at + make_interval(secs => (list_untold_collateral.warning_seconds)::double precision))))) s
   WHERE ((s.stage IS NOT NULL) AND (NOT (EXISTS ( SELECT
            FROM collateral_alarm a
           WHERE ((a.organization_id = s.organization_id) AND (a.collateral_id = s.id) AND (a.stage = s.stage))))))
   ORDER BY s.next_update_at, s.organization_id, s.id
  LIMIT list_untold_collateral.page_size;
END;
-- of qflare_jobs; may be executed by qflare_worker: list_untold_collateral(timestamp with time zone,integer,integer)

CREATE OR REPLACE FUNCTION public.list_unused_tokens(ended_before timestamp with time zone, page_size integer)
 RETURNS TABLE(organization_id uuid, id uuid)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT t.organization_id,
     t.id
    FROM enrollment_token t
   WHERE ((t.used_at IS NULL) AND (LEAST(t.expires_at, t.revoked_at) < list_unused_tokens.ended_before))
  LIMIT list_unused_tokens.page_size;
END;
-- of qflare_jobs; may be executed by qflare_worker: list_unused_tokens(timestamp with time zone,integer)

CREATE OR REPLACE FUNCTION public.make_attestation_partition(day date)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
 SET lock_timeout TO '250ms'
AS $function$
declare
  week date := date_trunc('week', day)::date;
  tenant_table text;
  partition_name text;
begin
  perform pg_advisory_xact_lock(hashtext('qflare attestation partitions'));
  if exists (select from public.list_attestation_partitions() p
    where p.suffix = to_char(week, 'YYYYMMDD') or p.suffix = 'before' and p.until > week) then return false; end if;
  foreach tenant_table in array array['evidence', 'attestation_result'] loop
    partition_name := tenant_table || '_' || to_char(week, 'YYYYMMDD');
    execute format('create table public.%I (like public.%I including defaults including constraints including storage)',
      partition_name, tenant_table);
    execute format('alter table public.%I enable row level security', partition_name);
    execute format('alter table public.%I force row level security', partition_name);
    execute format('alter table public.%I attach partition public.%I for values from (%L) to (%L)',
      tenant_table, partition_name, public.first_id_of(week), public.first_id_of(week + 7));
  end loop;
  return true;
end $function$;
-- of qflare_owner; may be executed by qflare_worker: make_attestation_partition(date)

CREATE OR REPLACE FUNCTION public.make_audit_partition(entry_index bigint)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
AS $function$
declare
  entries bigint := (select partition_entries from public.audit_log_state);
  lower_bound bigint := (entry_index / entries) * entries;
  partition_name text := 'audit_entry_' || lower_bound;
begin
  if entry_index not between 0 and (select size from public.audit_log_state) + 2 * entries then
    raise exception 'the log is not near entry %', entry_index using errcode = 'QF003';
  end if;
  if exists (select from public.audit_partition where first_index = lower_bound) then return false; end if;
  perform pg_advisory_xact_lock(hashtext('qflare audit partitions'));
  if exists (select from public.audit_partition where first_index = lower_bound) then return false; end if;
  execute format('create table public.%I partition of public.audit_entry for values from (%s) to (%s)',
    partition_name, lower_bound, lower_bound + entries);
  execute format('alter table public.%I enable row level security', partition_name);
  execute format('alter table public.%I force row level security', partition_name);
  execute format('create trigger append_only before update or delete or truncate on public.%I
    for each statement execute function public.refuse_change()', partition_name);
  insert into public.audit_partition (first_index, end_index) values (lower_bound, lower_bound + entries);
  return true;
end $function$;
-- of qflare_owner; may be executed by qflare_sequencer: make_audit_partition(bigint)

CREATE OR REPLACE FUNCTION public.make_session_partition(day date)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
AS $function$
declare
  -- Half of a page is left for the update that confirms a session, so that it touches no index.
  partition_name text := 'session_' || to_char(day, 'YYYYMMDD');
  lower_bound text := lpad(to_hex((extract(epoch from day) * 1000)::bigint), 12, '0') || repeat('0', 20);
  upper_bound text := lpad(to_hex((extract(epoch from day + 1) * 1000)::bigint), 12, '0') || repeat('0', 20);
begin
  perform pg_advisory_xact_lock(hashtext('qflare session partitions'));
  if to_regclass('public.' || quote_ident(partition_name)) is not null then return false; end if;
  execute format('create table public.%I partition of public.session for values from (%L) to (%L)
    with (fillfactor = 50)', partition_name, lower_bound::uuid, upper_bound::uuid);
  execute format('alter table public.%I enable row level security', partition_name);
  execute format('alter table public.%I force row level security', partition_name);
  return true;
end $function$;
-- of qflare_owner; may be executed by qflare_worker: make_session_partition(date)

CREATE OR REPLACE FUNCTION public.prune_audit_checkpoints()
 RETURNS bigint
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 WITH kept AS (
          SELECT max(c.id) AS id
            FROM audit_checkpoint c
           GROUP BY (date_trunc('day'::text, (c.signed_at AT TIME ZONE 'UTC'::text)))
         UNION
          SELECT max(s.checkpoint_id) AS max
            FROM audit_cosignature s
         ), pruned AS (
          DELETE FROM audit_checkpoint c
           WHERE ((c.id < ( SELECT (audit_log_state.published_id - 1000)
                    FROM audit_log_state)) AND (NOT (EXISTS ( SELECT
                    FROM kept
                   WHERE (kept.id = c.id)))))
           RETURNING 1 AS "?column?"
         )
  SELECT count(*) AS count
    FROM pruned;
END;
-- of qflare_owner; may be executed by qflare_sequencer: prune_audit_checkpoints()

CREATE OR REPLACE FUNCTION public.refuse_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
begin
  raise exception 'the audit log is append-only: % of % is refused', tg_op, tg_table_name using errcode = 'QF002';
end $function$;
-- of qflare_owner; may be executed by public: refuse_change()

CREATE OR REPLACE FUNCTION public.refuse_input_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'public'
AS $function$
begin
  if tg_op = 'UPDATE' then
    if (to_jsonb(new) - array['mac', 'mac_key_version', 'mac_mismatched_at', 'removed_at'])
        = (to_jsonb(old) - array['mac', 'mac_key_version', 'mac_mismatched_at', 'removed_at'])
      and (old.removed_at is null or new.removed_at is not distinct from old.removed_at) then
      return new;
    end if;
  end if;
  raise exception 'trust anchors and reference values stay as they are: % is refused', tg_op using errcode = 'QF004';
end $function$;
-- of qflare_owner; may be executed by nobody else: refuse_input_change()

CREATE OR REPLACE FUNCTION public.refuse_policy_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SET search_path TO 'pg_catalog', 'public'
AS $function$
begin
  if tg_op = 'UPDATE' then
    if (new.organization_id, new.name, new.version, new.body, new.created_at)
      is not distinct from (old.organization_id, old.name, old.version, old.body, old.created_at) then
      return new;
    end if;
  end if;
  raise exception 'versions of appraisal policies stay as they are: % is refused', tg_op using errcode = 'QF004';
end $function$;
-- of qflare_owner; may be executed by nobody else: refuse_policy_change()

CREATE OR REPLACE FUNCTION public.remove_audit_entries(older_than timestamp with time zone)
 RETURNS TABLE(from_index bigint, to_index bigint, newest_at timestamp with time zone)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
AS $function$
declare
  oldest public.audit_partition;
begin
  if older_than is null or older_than > now() - interval '365 days' then
    raise exception 'entries are kept for a year at least' using errcode = 'QF003';
  end if;
  perform pg_advisory_xact_lock(hashtext('qflare audit partitions'));
  select p.* into oldest from public.audit_partition p where p.removed_at is null order by p.first_index limit 1;
  if oldest.newest_at is null or oldest.newest_at >= older_than
    or oldest.end_index > (select s.published_size from public.audit_log_state s) then return; end if;
  execute format('drop table public.%I', 'audit_entry_' || oldest.first_index);
  update public.audit_partition p set removed_at = now() where p.first_index = oldest.first_index;
  return query select oldest.first_index, oldest.end_index, oldest.newest_at;
end $function$;
-- of qflare_owner; may be executed by qflare_sequencer: remove_audit_entries(timestamp with time zone)

CREATE OR REPLACE FUNCTION public.reserve_kek_uses(kek_purpose integer, kek_number bigint, wanted integer)
 RETURNS bigint
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 UPDATE kek_version k SET uses = (k.uses + reserve_kek_uses.wanted)
   WHERE ((k.purpose = reserve_kek_uses.kek_purpose) AND (k.version = reserve_kek_uses.kek_number) AND (reserve_kek_uses.wanted > 0) AND ((k.uses IS NULL) OR ((k.uses + reserve_kek_uses.wanted) <= '4294967296'::bigint)))
   RETURNING COALESCE(k.uses, (0)::bigint) AS "coalesce";
END;
-- of qflare_jobs; may be executed by qflare_api, qflare_worker: reserve_kek_uses(integer,bigint,integer)

CREATE OR REPLACE FUNCTION public.sealed_under(record bytea)
 RETURNS bigint
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN (((((get_byte(record, 3))::bigint * 16777216) + (get_byte(record, 4) * 65536)) + (get_byte(record, 5) * 256)) + get_byte(record, 6));
-- of qflare_owner; may be executed by public: sealed_under(bytea)

CREATE OR REPLACE FUNCTION public.store_signed_draft(drafted_sequence bigint, signatures jsonb, at_time timestamp with time zone)
 RETURNS boolean
 LANGUAGE sql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 WITH draft AS (
          DELETE FROM trust_bundle_draft d
           WHERE (d.sequence = store_signed_draft.drafted_sequence)
           RETURNING d.body
         ), stored AS (
          INSERT INTO trust_bundle (sequence, body, created_at)  SELECT store_signed_draft.drafted_sequence AS drafted_sequence,
                     (draft.body || jsonb_build_object('signatures', store_signed_draft.signatures)),
                     store_signed_draft.at_time AS at_time
                    FROM draft
           RETURNING trust_bundle.sequence
         ), published AS (
          UPDATE signing_key s SET published_at = store_signed_draft.at_time
            FROM draft
           WHERE ((s.status = 'PUBLISHED'::text) AND (EXISTS ( SELECT
                    FROM jsonb_array_elements((draft.body -> 'keys'::text)) k(value)
                   WHERE ((k.value ->> 'kid'::text) = s.kid))) AND (NOT (EXISTS ( SELECT
                    FROM trust_bundle b,
                     LATERAL jsonb_array_elements((b.body -> 'keys'::text)) k(value)
                   WHERE ((b.sequence = (store_signed_draft.drafted_sequence - 1)) AND ((k.value ->> 'kid'::text) = s.kid))))))
           RETURNING s.kid
         )
  SELECT (EXISTS ( SELECT
            FROM stored)) AS "exists";
END;
-- of qflare_jobs; may be executed by qflare_api, qflare_worker: store_signed_draft(bigint,jsonb,timestamp with time zone)

CREATE OR REPLACE FUNCTION public.summarize_collateral(at timestamp with time zone)
 RETURNS TABLE(kind text, ends_at timestamp with time zone, issued_at timestamp with time zone, out_of_date bigint)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'public'
BEGIN ATOMIC
 SELECT c.kind,
     min(c.next_update_at) FILTER (WHERE (c.next_update_at > summarize_collateral.at)) AS min,
     min(c.issued_at) AS min,
     count(*) FILTER (WHERE (c.next_update_at <= summarize_collateral.at)) AS count
    FROM collateral c
   WHERE (c.removed_at IS NULL)
   GROUP BY c.kind;
END;
-- of qflare_jobs; may be executed by qflare_worker: summarize_collateral(timestamp with time zone)

create table api_token (
  organization_id uuid not null,
  id uuid not null,
  name text not null,
  roles text[] not null,
  service_admin boolean not null default false,
  secret_hash bytea not null,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone,
  revoked_at timestamp with time zone,
  end_told_at timestamp with time zone,
  constraint api_token_pkey PRIMARY KEY (organization_id, id),
  constraint api_token_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organization(id),
  constraint api_token_roles_check CHECK ((roles <@ ARRAY['admin'::text, 'operator'::text, 'coordinator'::text, 'auditor'::text])),
  constraint api_token_secret_hash_check CHECK ((length(secret_hash) = 32))
);
alter table api_token owner to qflare_owner;
alter table api_token enable row level security;
alter table api_token force row level security;
create policy list_ending on api_token as permissive for select to qflare_jobs
  using (true);
create policy tenant on api_token as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on api_token as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant select on api_token to qflare_api;
grant insert, select on api_token to qflare_worker;
grant insert (organization_id, id, name, roles, secret_hash, created_at, expires_at), update (revoked_at) on api_token to qflare_api;
grant select (organization_id, id, created_at, expires_at, revoked_at, end_told_at) on api_token to qflare_jobs;
grant update (revoked_at, end_told_at) on api_token to qflare_worker;

create table appraisal_policy (
  organization_id uuid not null,
  name text not null,
  version integer not null,
  body text not null,
  mac bytea not null,
  mac_key_version bigint not null,
  mac_mismatched_at timestamp with time zone,
  created_at timestamp with time zone not null,
  constraint appraisal_policy_pkey PRIMARY KEY (organization_id, name, version),
  constraint appraisal_policy_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organization(id),
  constraint appraisal_policy_mac_check CHECK ((length(mac) = 32)),
  constraint appraisal_policy_name_check CHECK (((name ~ '^[a-z0-9][a-z0-9._-]{0,63}$'::text) AND (name <> 'none'::text))),
  constraint appraisal_policy_version_check CHECK ((version > 0))
);
alter table appraisal_policy owner to qflare_owner;
CREATE INDEX appraisal_policy_mac_version ON public.appraisal_policy USING btree (mac_key_version, organization_id, name, version) WHERE (mac_mismatched_at IS NULL);
CREATE TRIGGER unchanging BEFORE DELETE OR UPDATE ON public.appraisal_policy FOR EACH ROW EXECUTE FUNCTION refuse_policy_change();
CREATE TRIGGER unchanging_table BEFORE TRUNCATE ON public.appraisal_policy FOR EACH STATEMENT EXECUTE FUNCTION refuse_policy_change();
alter table appraisal_policy enable row level security;
alter table appraisal_policy force row level security;
create policy rotate_keys on appraisal_policy as permissive for select to qflare_jobs
  using (true);
create policy tenant on appraisal_policy as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on appraisal_policy as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on appraisal_policy to qflare_api;
grant select on appraisal_policy to qflare_worker;
grant select (organization_id, name, version, mac_key_version, mac_mismatched_at) on appraisal_policy to qflare_jobs;
grant update (mac, mac_key_version, mac_mismatched_at) on appraisal_policy to qflare_worker;

create table attestation_challenge (
  organization_id uuid not null,
  principal_id uuid not null,
  id uuid not null,
  session_id uuid not null,
  sealed_challenge bytea not null,
  expires_at timestamp with time zone not null,
  consumed_at timestamp with time zone,
  completion_hash bytea,
  mismatched_at timestamp with time zone,
  attestation_result_id uuid,
  constraint attestation_challenge_pkey PRIMARY KEY (organization_id, principal_id),
  constraint attestation_challenge_organization_id_principal_id_fkey FOREIGN KEY (organization_id, principal_id) REFERENCES principal(organization_id, id),
  constraint attestation_challenge_check CHECK (((consumed_at IS NULL) = (completion_hash IS NULL))),
  constraint attestation_challenge_check1 CHECK (((attestation_result_id IS NULL) OR (consumed_at IS NOT NULL))),
  constraint attestation_challenge_completion_hash_check CHECK ((length(completion_hash) = 32))
);
alter table attestation_challenge owner to qflare_owner;
alter table attestation_challenge enable row level security;
alter table attestation_challenge force row level security;
create policy tenant on attestation_challenge as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on attestation_challenge as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on attestation_challenge to qflare_api;
grant update (id, session_id, sealed_challenge, expires_at, consumed_at, completion_hash, mismatched_at, attestation_result_id) on attestation_challenge to qflare_api;

create table attestation_result (
  organization_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  evidence_id uuid not null,
  kid text not null,
  policy_id text not null,
  tier text not null,
  ear text not null,
  appraised_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  findings text not null default '{}'::text,
  session_id uuid,
  constraint attestation_result_pkey PRIMARY KEY (organization_id, id),
  constraint attestation_result_tier_check CHECK ((tier = ANY (ARRAY['none'::text, 'affirming'::text, 'warning'::text, 'contraindicated'::text])))
) partition by RANGE (id);
alter table attestation_result owner to qflare_owner;
CREATE INDEX attestation_result_bad ON ONLY public.attestation_result USING btree (organization_id, tier, id) WHERE (tier = ANY (ARRAY['warning'::text, 'contraindicated'::text]));
CREATE INDEX attestation_result_principal ON ONLY public.attestation_result USING btree (organization_id, principal_id, id);
alter table attestation_result enable row level security;
alter table attestation_result force row level security;
create policy find_relied on attestation_result as permissive for select to qflare_jobs
  using (true);
create policy tenant on attestation_result as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on attestation_result as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on attestation_result to qflare_api;
grant select on attestation_result to qflare_worker;
grant update (expires_at) on attestation_result to qflare_api;
grant select (organization_id, id, principal_id) on attestation_result to qflare_jobs;

create table attester_state (
  organization_id uuid not null,
  principal_id uuid not null,
  format text not null,
  attester_id text not null,
  state text not null,
  mac bytea not null,
  mac_key_version bigint not null,
  mac_mismatched_at timestamp with time zone,
  updated_at timestamp with time zone not null,
  released_at timestamp with time zone,
  constraint attester_state_pkey PRIMARY KEY (organization_id, principal_id, format),
  constraint attester_state_organization_id_principal_id_fkey FOREIGN KEY (organization_id, principal_id) REFERENCES principal(organization_id, id),
  constraint attester_state_attester_id_check CHECK (((length(attester_id) >= 1) AND (length(attester_id) <= 128))),
  constraint attester_state_mac_check CHECK ((length(mac) = 32))
);
alter table attester_state owner to qflare_owner;
CREATE UNIQUE INDEX attester_state_live ON public.attester_state USING btree (organization_id, format, attester_id) WHERE (released_at IS NULL);
CREATE INDEX attester_state_mac_version ON public.attester_state USING btree (mac_key_version, organization_id, principal_id, format) WHERE (mac_mismatched_at IS NULL);
alter table attester_state enable row level security;
alter table attester_state force row level security;
create policy rotate_keys on attester_state as permissive for select to qflare_jobs
  using (true);
create policy tenant on attester_state as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on attester_state as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on attester_state to qflare_api;
grant select on attester_state to qflare_worker;
grant update (state, mac, mac_key_version, updated_at, released_at) on attester_state to qflare_api;
grant select (organization_id, principal_id, format, mac_key_version, mac_mismatched_at) on attester_state to qflare_jobs;
grant update (mac, mac_key_version, mac_mismatched_at) on attester_state to qflare_worker;

create table audit_checkpoint (
  id bigint not null generated always as identity (start 1 increment 1 cache 1),
  size bigint not null,
  root sha256_hash not null,
  signed_at timestamp with time zone not null,
  note text not null,
  constraint audit_checkpoint_pkey PRIMARY KEY (id),
  constraint audit_checkpoint_size_check CHECK ((size >= 0))
);
alter table audit_checkpoint owner to qflare_owner;
grant select on audit_checkpoint to qflare_auditor;
grant insert, select on audit_checkpoint to qflare_sequencer;
grant select (signed_at) on audit_checkpoint to qflare_worker;

create table audit_cosignature (
  checkpoint_id bigint not null,
  witness text not null,
  line text not null,
  received_at timestamp with time zone not null,
  constraint audit_cosignature_pkey PRIMARY KEY (checkpoint_id, witness),
  constraint audit_cosignature_checkpoint_id_fkey FOREIGN KEY (checkpoint_id) REFERENCES audit_checkpoint(id) ON DELETE CASCADE
);
alter table audit_cosignature owner to qflare_owner;
grant select on audit_cosignature to qflare_auditor;
grant insert, select on audit_cosignature to qflare_sequencer;

create table audit_entry (
  index bigint not null,
  organization_id uuid not null,
  event_id uuid not null,
  at timestamp with time zone not null,
  type text not null,
  severity text not null,
  actor_id uuid,
  device_id uuid,
  entry audit_event not null,
  constraint audit_entry_pkey PRIMARY KEY (index),
  constraint audit_entry_index_check CHECK ((index >= 0))
) partition by RANGE (index);
alter table audit_entry owner to qflare_owner;
CREATE INDEX audit_entry_actor ON ONLY public.audit_entry USING btree (actor_id, organization_id, index);
CREATE INDEX audit_entry_device ON ONLY public.audit_entry USING btree (device_id, organization_id, index) WHERE (device_id IS NOT NULL);
CREATE INDEX audit_entry_organization ON ONLY public.audit_entry USING btree (organization_id, index);
CREATE INDEX audit_entry_severity ON ONLY public.audit_entry USING btree (severity, organization_id, index) WHERE (severity <> 'info'::text);
CREATE INDEX audit_entry_type ON ONLY public.audit_entry USING btree (type, organization_id, index);
CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_entry FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
alter table audit_entry enable row level security;
alter table audit_entry force row level security;
create policy append on audit_entry as permissive for insert to qflare_sequencer
  with check (true);
create policy published on audit_entry as restrictive for select to qflare_auditor
  using ((index < ( SELECT audit_log_state.published_size
   FROM audit_log_state)));
create policy sequence on audit_entry as permissive for select to qflare_sequencer
  using (true);
create policy tenant on audit_entry as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using (is_readable_by_auditor(organization_id))
  with check ((organization_id = current_organization()));
create policy tenant_only on audit_entry as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using (is_readable_by_auditor(organization_id))
  with check ((organization_id = current_organization()));
grant select on audit_entry to qflare_auditor;
grant insert, select on audit_entry to qflare_sequencer;

create table audit_event_id (
  organization_id uuid not null,
  event_id uuid not null,
  index bigint not null,
  constraint audit_event_id_pkey PRIMARY KEY (event_id),
  constraint audit_event_id_index_key UNIQUE (index),
  constraint audit_event_id_index_check CHECK ((index >= 0))
);
alter table audit_event_id owner to qflare_owner;
CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_event_id FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
alter table audit_event_id enable row level security;
alter table audit_event_id force row level security;
create policy append on audit_event_id as permissive for insert to qflare_sequencer
  with check (true);
create policy find_missing on audit_event_id as permissive for select to qflare_jobs
  using (true);
create policy published on audit_event_id as restrictive for select to qflare_auditor
  using ((index < ( SELECT audit_log_state.published_size
   FROM audit_log_state)));
create policy sequence on audit_event_id as permissive for select to qflare_sequencer
  using (true);
create policy tenant on audit_event_id as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using (is_readable_by_auditor(organization_id))
  with check ((organization_id = current_organization()));
create policy tenant_only on audit_event_id as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using (is_readable_by_auditor(organization_id))
  with check ((organization_id = current_organization()));
grant select on audit_event_id to qflare_auditor;
grant insert, select on audit_event_id to qflare_sequencer;
grant select (index) on audit_event_id to qflare_jobs;

create table audit_log_state (
  is_only boolean not null default true,
  size bigint not null default 0,
  epoch bigint not null default 0,
  published_id bigint,
  published_size bigint not null default 0,
  partition_entries bigint not null default 4194304,
  constraint audit_log_state_pkey PRIMARY KEY (is_only),
  constraint audit_log_state_check CHECK (((published_size >= 0) AND (published_size <= size))),
  constraint audit_log_state_is_only_check CHECK (is_only),
  constraint audit_log_state_partition_entries_check CHECK (((partition_entries > 0) AND ((partition_entries % (256)::bigint) = 0))),
  constraint audit_log_state_size_check CHECK ((size >= 0))
);
alter table audit_log_state owner to qflare_owner;
grant select on audit_log_state to qflare_auditor;
grant select on audit_log_state to qflare_sequencer;
grant update (size, epoch, published_id, published_size) on audit_log_state to qflare_sequencer;
grant select (published_size) on audit_log_state to qflare_worker;

create table audit_outbox (
  seq bigint not null generated always as identity (start 1 increment 1 cache 1),
  organization_id uuid not null,
  event_id uuid not null,
  entry audit_event not null,
  constraint audit_outbox_pkey PRIMARY KEY (event_id)
) with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=2000, autovacuum_vacuum_cost_delay=0, autovacuum_analyze_scale_factor=0, autovacuum_analyze_threshold=20000);
alter table audit_outbox owner to qflare_owner;
CREATE INDEX audit_outbox_seq ON public.audit_outbox USING btree (seq);
alter table audit_outbox enable row level security;
alter table audit_outbox force row level security;
create policy sequence on audit_outbox as permissive for select to qflare_sequencer
  using (true);
create policy sequenced on audit_outbox as permissive for delete to qflare_sequencer
  using (true);
create policy tell on audit_outbox as permissive for insert to qflare_sequencer
  with check ((organization_id = '00000000-0000-0000-0000-000000000000'::uuid));
create policy tenant on audit_outbox as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on audit_outbox as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert on audit_outbox to qflare_api;
grant delete, insert, select on audit_outbox to qflare_sequencer;
grant insert on audit_outbox to qflare_worker;

create table audit_partition (
  first_index bigint not null,
  end_index bigint not null,
  oldest_at timestamp with time zone,
  newest_at timestamp with time zone,
  removed_at timestamp with time zone,
  constraint audit_partition_pkey PRIMARY KEY (first_index),
  constraint audit_partition_check CHECK ((end_index > first_index))
);
alter table audit_partition owner to qflare_owner;
grant select on audit_partition to qflare_auditor;
grant select on audit_partition to qflare_sequencer;
grant update (oldest_at, newest_at) on audit_partition to qflare_sequencer;

create table audit_tile (
  level smallint not null,
  first_index bigint not null,
  hashes bytea not null,
  constraint audit_tile_pkey PRIMARY KEY (level, first_index),
  constraint audit_tile_first_index_check CHECK ((first_index >= 0)),
  constraint audit_tile_hashes_check CHECK ((((length(hashes) >= 32) AND (length(hashes) <= 8192)) AND ((length(hashes) % 32) = 0))),
  constraint audit_tile_level_check CHECK (((level >= 0) AND (level <= 7))),
  constraint in_one_tile CHECK (((first_index / 256) = (((first_index + (length(hashes) / 32)) - 1) / 256)))
);
alter table audit_tile owner to qflare_owner;
CREATE TRIGGER append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.audit_tile FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
grant select on audit_tile to qflare_auditor;
grant insert, select on audit_tile to qflare_sequencer;

create table bucket_certificate (
  suite text not null,
  bucket bigint not null,
  generation integer not null,
  kid text not null,
  public_key bytea not null,
  signature bytea not null,
  constraint bucket_certificate_pkey PRIMARY KEY (suite, bucket, generation),
  constraint bucket_certificate_kid_fkey FOREIGN KEY (kid) REFERENCES signing_key(kid)
);
alter table bucket_certificate owner to qflare_owner;
grant select on bucket_certificate to qflare_api;
grant insert, select on bucket_certificate to qflare_worker;

create table challenge (
  organization_id uuid not null,
  id uuid not null,
  purpose text not null,
  sealed_challenge bytea not null,
  trust_sequence bigint not null,
  expires_at timestamp with time zone not null,
  consumed_at timestamp with time zone,
  completion_hash bytea,
  principal_id uuid,
  mismatched_at timestamp with time zone,
  credential_at timestamp with time zone,
  sealed_activation bytea,
  constraint challenge_pkey PRIMARY KEY (organization_id, id),
  constraint challenge_organization_id_id_fkey FOREIGN KEY (organization_id, id) REFERENCES enrollment_token(organization_id, id),
  constraint challenge_organization_id_principal_id_fkey FOREIGN KEY (organization_id, principal_id) REFERENCES principal(organization_id, id),
  constraint challenge_trust_sequence_fkey FOREIGN KEY (trust_sequence) REFERENCES trust_bundle(sequence),
  constraint challenge_activation_is_sound CHECK (((sealed_activation IS NULL) OR (credential_at IS NOT NULL))),
  constraint challenge_completion_hash_check CHECK ((length(completion_hash) = 32)),
  constraint challenge_purpose_check CHECK ((purpose = 'enroll'::text))
);
alter table challenge owner to qflare_owner;
alter table challenge enable row level security;
alter table challenge force row level security;
create policy rotate_keys on challenge as permissive for select to qflare_jobs
  using (true);
create policy tenant on challenge as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on challenge as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on challenge to qflare_api;
grant delete on challenge to qflare_worker;
grant update (sealed_challenge, trust_sequence, expires_at, consumed_at, completion_hash, principal_id, mismatched_at, credential_at, sealed_activation) on challenge to qflare_api;
grant select (sealed_challenge, expires_at) on challenge to qflare_jobs;
grant select (organization_id, id) on challenge to qflare_worker;

create table collateral (
  organization_id uuid not null,
  id uuid not null,
  kind text not null,
  lookup_id text not null,
  name display_name not null,
  issued_at timestamp with time zone not null,
  next_update_at timestamp with time zone,
  body bytea,
  body_hash bytea not null,
  chain bytea[] not null default '{}'::bytea[],
  mac bytea not null,
  mac_key_version bigint not null,
  mac_mismatched_at timestamp with time zone,
  created_at timestamp with time zone not null,
  removed_at timestamp with time zone,
  body_of uuid,
  constraint collateral_pkey PRIMARY KEY (organization_id, id),
  constraint collateral_organization_id_body_of_fkey FOREIGN KEY (organization_id, body_of) REFERENCES collateral(organization_id, id),
  constraint collateral_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organization(id),
  constraint collateral_body_check CHECK (((length(body) >= 1) AND (length(body) <= 3145728))),
  constraint collateral_body_hash_check CHECK ((length(body_hash) = 32)),
  constraint collateral_chain_check CHECK ((cardinality(chain) <= 4)),
  constraint collateral_check CHECK ((removed_at >= created_at)),
  constraint collateral_has_one_body CHECK (((body IS NULL) <> (body_of IS NULL))),
  constraint collateral_kind_check CHECK (((length(kind) >= 1) AND (length(kind) <= 64))),
  constraint collateral_lookup_id_check CHECK (((length(lookup_id) >= 1) AND (length(lookup_id) <= 160))),
  constraint collateral_mac_check CHECK ((length(mac) = 32))
);
alter table collateral owner to qflare_owner;
CREATE INDEX collateral_in_use ON public.collateral USING btree (next_update_at, kind, issued_at) WHERE (removed_at IS NULL);
CREATE UNIQUE INDEX collateral_live ON public.collateral USING btree (organization_id, lookup_id) WHERE (removed_at IS NULL);
CREATE INDEX collateral_lookup ON public.collateral USING btree (organization_id, lookup_id);
CREATE INDEX collateral_mac_version ON public.collateral USING btree (mac_key_version, organization_id, id) WHERE (mac_mismatched_at IS NULL);
CREATE TRIGGER unchanging BEFORE DELETE OR UPDATE ON public.collateral FOR EACH ROW EXECUTE FUNCTION refuse_input_change();
CREATE TRIGGER unchanging_table BEFORE TRUNCATE ON public.collateral FOR EACH STATEMENT EXECUTE FUNCTION refuse_input_change();
alter table collateral enable row level security;
alter table collateral force row level security;
create policy list_ending on collateral as permissive for select to qflare_jobs
  using (true);
create policy rotate_keys on collateral as permissive for select to qflare_jobs
  using (true);
create policy tenant on collateral as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on collateral as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on collateral to qflare_api;
grant select on collateral to qflare_worker;
grant update (mac, mac_key_version, removed_at) on collateral to qflare_api;
grant select (organization_id, id, kind, issued_at, next_update_at, mac_key_version, mac_mismatched_at, removed_at) on collateral to qflare_jobs;
grant update (mac, mac_key_version, mac_mismatched_at) on collateral to qflare_worker;

create table collateral_alarm (
  organization_id uuid not null,
  collateral_id uuid not null,
  stage text not null,
  told_at timestamp with time zone not null,
  constraint collateral_alarm_pkey PRIMARY KEY (organization_id, collateral_id, stage),
  constraint collateral_alarm_organization_id_collateral_id_fkey FOREIGN KEY (organization_id, collateral_id) REFERENCES collateral(organization_id, id),
  constraint collateral_alarm_stage_check CHECK ((stage = ANY (ARRAY['ending'::text, 'ended'::text])))
);
alter table collateral_alarm owner to qflare_owner;
alter table collateral_alarm enable row level security;
alter table collateral_alarm force row level security;
create policy list_ending on collateral_alarm as permissive for select to qflare_jobs
  using (true);
create policy tenant on collateral_alarm as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on collateral_alarm as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on collateral_alarm to qflare_worker;
grant select (organization_id, collateral_id, stage) on collateral_alarm to qflare_jobs;

create table device_network (
  organization_id uuid not null,
  device_id uuid not null,
  network text not null,
  seen_at timestamp with time zone not null,
  constraint device_network_pkey PRIMARY KEY (organization_id, device_id, network),
  constraint device_network_network_check CHECK ((length(network) = 11))
);
alter table device_network owner to qflare_owner;
CREATE INDEX device_network_age ON public.device_network USING btree (organization_id, seen_at);
alter table device_network enable row level security;
alter table device_network force row level security;
create policy list_old on device_network as permissive for select to qflare_jobs
  using (true);
create policy tenant on device_network as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on device_network as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant delete, insert, select on device_network to qflare_worker;
grant select (organization_id, seen_at) on device_network to qflare_jobs;
grant update (seen_at) on device_network to qflare_worker;

create table directory (
  id uuid not null,
  organization_id uuid not null,
  constraint directory_pkey PRIMARY KEY (id),
  constraint directory_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organization(id)
);
alter table directory owner to qflare_owner;
grant insert, select on directory to qflare_api;
grant insert, select on directory to qflare_worker;

create table enrollment_token (
  organization_id uuid not null,
  id uuid not null,
  kind principal_kind not null,
  name display_name,
  policy_id text not null,
  secret_hash bytea not null,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  used_at timestamp with time zone,
  revoked_at timestamp with time zone,
  principal_id uuid,
  type device_label,
  capabilities device_capabilities not null default '{}'::text[],
  constraint enrollment_token_pkey PRIMARY KEY (organization_id, id),
  constraint enrollment_token_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organization(id),
  constraint enrollment_token_organization_id_principal_id_fkey FOREIGN KEY (organization_id, principal_id) REFERENCES principal(organization_id, id),
  constraint enrollment_token_check CHECK (((used_at IS NULL) = (principal_id IS NULL))),
  constraint enrollment_token_check1 CHECK (((used_at IS NULL) OR (revoked_at IS NULL))),
  constraint enrollment_token_secret_hash_check CHECK ((length(secret_hash) = 32))
);
alter table enrollment_token owner to qflare_owner;
CREATE INDEX enrollment_token_unused ON public.enrollment_token USING btree (organization_id, id) WHERE ((used_at IS NULL) AND (revoked_at IS NULL));
alter table enrollment_token enable row level security;
alter table enrollment_token force row level security;
create policy list_old on enrollment_token as permissive for select to qflare_jobs
  using (true);
create policy tenant on enrollment_token as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on enrollment_token as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on enrollment_token to qflare_api;
grant delete on enrollment_token to qflare_worker;
grant update (used_at, revoked_at, principal_id) on enrollment_token to qflare_api;
grant select (organization_id, id, expires_at, used_at, revoked_at) on enrollment_token to qflare_jobs;
grant select (organization_id, id, expires_at, used_at, revoked_at) on enrollment_token to qflare_worker;

create table evidence (
  organization_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  body text not null,
  received_at timestamp with time zone not null,
  binding bytea,
  attesters text,
  constraint evidence_pkey PRIMARY KEY (organization_id, id),
  constraint evidence_binding_check CHECK ((length(binding) = 32)),
  constraint evidence_is_whole CHECK (((binding IS NULL) = (attesters IS NULL)))
) partition by RANGE (id);
alter table evidence owner to qflare_owner;
alter table evidence enable row level security;
alter table evidence force row level security;
create policy find_relied on evidence as permissive for select to qflare_jobs
  using (true);
create policy tenant on evidence as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on evidence as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on evidence to qflare_api;
grant select (id) on evidence to qflare_jobs;

create table exchange_rate (
  organization_id uuid not null,
  device_id uuid not null,
  hour bigint not null,
  count bigint not null,
  mean double precision not null,
  variance double precision not null,
  hours integer not null,
  is_told boolean not null,
  constraint exchange_rate_pkey PRIMARY KEY (organization_id, device_id),
  constraint exchange_rate_count_check CHECK ((count >= 0)),
  constraint exchange_rate_hours_check CHECK ((hours >= 0)),
  constraint exchange_rate_variance_check CHECK ((variance >= (0)::double precision))
);
alter table exchange_rate owner to qflare_owner;
alter table exchange_rate enable row level security;
alter table exchange_rate force row level security;
create policy tenant on exchange_rate as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on exchange_rate as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on exchange_rate to qflare_worker;
grant update (hour, count, mean, variance, hours, is_told) on exchange_rate to qflare_worker;

create table federation (
  organization_id uuid not null,
  id uuid not null,
  name display_name not null,
  policy text not null,
  created_by uuid not null,
  created_at timestamp with time zone not null,
  last_round bigint not null default 0,
  constraint federation_pkey PRIMARY KEY (organization_id, id),
  constraint federation_organization_id_name_key UNIQUE (organization_id, name),
  constraint federation_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organization(id),
  constraint federation_last_round_check CHECK ((last_round >= 0)),
  constraint federation_policy_is_known CHECK ((policy ~ '^(development|production|(affirming(,warning)?(,none)?|warning(,none)?|none)(/([3-9][0-9]{2}|[1-9][0-9]{3,4}))?)$'::text))
);
alter table federation owner to qflare_owner;
alter table federation enable row level security;
alter table federation force row level security;
create policy tenant on federation as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on federation as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on federation to qflare_api;
grant update (last_round) on federation to qflare_api;

create table federation_coordinator (
  organization_id uuid not null,
  federation_id uuid not null,
  coordinator_id uuid not null,
  added_at timestamp with time zone not null,
  constraint federation_coordinator_pkey PRIMARY KEY (organization_id, federation_id, coordinator_id),
  constraint federation_coordinator_organization_id_coordinator_id_fkey FOREIGN KEY (organization_id, coordinator_id) REFERENCES principal(organization_id, id),
  constraint federation_coordinator_organization_id_federation_id_fkey FOREIGN KEY (organization_id, federation_id) REFERENCES federation(organization_id, id)
);
alter table federation_coordinator owner to qflare_owner;
CREATE INDEX federation_coordinator_of ON public.federation_coordinator USING btree (organization_id, coordinator_id, federation_id);
alter table federation_coordinator enable row level security;
alter table federation_coordinator force row level security;
create policy tenant on federation_coordinator as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on federation_coordinator as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant delete, insert, select on federation_coordinator to qflare_api;

create table federation_member (
  organization_id uuid not null,
  federation_id uuid not null,
  device_id uuid not null,
  added_at timestamp with time zone not null,
  constraint federation_member_pkey PRIMARY KEY (organization_id, federation_id, device_id),
  constraint federation_member_organization_id_device_id_fkey FOREIGN KEY (organization_id, device_id) REFERENCES principal(organization_id, id),
  constraint federation_member_organization_id_federation_id_fkey FOREIGN KEY (organization_id, federation_id) REFERENCES federation(organization_id, id)
);
alter table federation_member owner to qflare_owner;
CREATE INDEX federation_member_of ON public.federation_member USING btree (organization_id, device_id, federation_id);
alter table federation_member enable row level security;
alter table federation_member force row level security;
create policy tenant on federation_member as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on federation_member as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant delete, insert, select on federation_member to qflare_api;

create table identity_key (
  organization_id uuid not null,
  kid text not null,
  principal_id uuid not null,
  alg text not null,
  public_key bytea not null,
  status text not null,
  replaced_by text,
  mac bytea not null,
  mac_key_version bigint not null,
  created_at timestamp with time zone not null,
  mac_mismatched_at timestamp with time zone,
  rotation_due_since timestamp with time zone,
  constraint identity_key_pkey PRIMARY KEY (organization_id, kid),
  constraint identity_key_organization_id_principal_id_fkey FOREIGN KEY (organization_id, principal_id) REFERENCES principal(organization_id, id),
  constraint identity_key_mac_check CHECK ((length(mac) = 32)),
  constraint identity_key_status_check CHECK ((status = ANY (ARRAY['ACTIVE'::text, 'REPLACED'::text, 'REVOKED'::text])))
);
alter table identity_key owner to qflare_owner;
CREATE UNIQUE INDEX identity_key_active ON public.identity_key USING btree (organization_id, principal_id) WHERE (status = 'ACTIVE'::text);
CREATE INDEX identity_key_due ON public.identity_key USING btree (organization_id, principal_id) WHERE ((status = 'ACTIVE'::text) AND (rotation_due_since IS NOT NULL));
CREATE INDEX identity_key_mac_version ON public.identity_key USING btree (mac_key_version, organization_id, kid) WHERE (mac_mismatched_at IS NULL);
CREATE INDEX identity_key_principal ON public.identity_key USING btree (organization_id, principal_id);
CREATE INDEX identity_key_unflagged ON public.identity_key USING btree (created_at) WHERE ((status = 'ACTIVE'::text) AND (rotation_due_since IS NULL));
alter table identity_key enable row level security;
alter table identity_key force row level security;
create policy list_unflagged on identity_key as permissive for select to qflare_jobs
  using (true);
create policy rotate_keys on identity_key as permissive for select to qflare_jobs
  using (true);
create policy tenant on identity_key as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on identity_key as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on identity_key to qflare_api;
grant select on identity_key to qflare_worker;
grant update (status, replaced_by) on identity_key to qflare_api;
grant select (organization_id, kid, status, mac_key_version, created_at, mac_mismatched_at, rotation_due_since) on identity_key to qflare_jobs;
grant select (organization_id, kid, principal_id, alg, status, created_at, rotation_due_since), update (mac, mac_key_version, mac_mismatched_at, rotation_due_since) on identity_key to qflare_worker;

create table incident (
  organization_id uuid not null,
  id uuid not null,
  rule text not null,
  subject text not null,
  severity text not null,
  status text not null default 'OPEN'::text,
  opened_at timestamp with time zone not null,
  last_at timestamp with time zone not null,
  count bigint not null,
  devices integer not null default 0,
  acknowledged_at timestamp with time zone,
  acknowledged_by uuid,
  resolved_by uuid,
  resolved_at timestamp with time zone,
  constraint incident_pkey PRIMARY KEY (organization_id, id),
  constraint incident_check CHECK (((resolved_at IS NOT NULL) = (status = 'RESOLVED'::text))),
  constraint incident_count_check CHECK ((count > 0)),
  constraint incident_severity_check CHECK ((severity = ANY (ARRAY['notice'::text, 'warning'::text, 'critical'::text]))),
  constraint incident_status_check CHECK ((status = ANY (ARRAY['OPEN'::text, 'ACKNOWLEDGED'::text, 'RESOLVED'::text]))),
  constraint incident_subject_check CHECK (((length(subject) >= 1) AND (length(subject) <= 200)))
);
alter table incident owner to qflare_owner;
CREATE UNIQUE INDEX incident_live ON public.incident USING btree (organization_id, rule, subject) WHERE (status <> 'RESOLVED'::text);
CREATE INDEX incident_open ON public.incident USING btree (severity) WHERE (status = 'OPEN'::text);
CREATE INDEX incident_status ON public.incident USING btree (organization_id, status, id);
alter table incident enable row level security;
alter table incident force row level security;
create policy count_open on incident as permissive for select to qflare_jobs
  using (true);
create policy list_old on incident as permissive for select to qflare_jobs
  using (true);
create policy tenant on incident as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on incident as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant select on incident to qflare_api;
grant delete, insert, select on incident to qflare_worker;
grant update (status, acknowledged_at, acknowledged_by, resolved_by, resolved_at) on incident to qflare_api;
grant select (organization_id, id, severity, status, resolved_at) on incident to qflare_jobs;
grant update (severity, last_at, count, devices) on incident to qflare_worker;

create table incident_device (
  organization_id uuid not null,
  incident_id uuid not null,
  device_id uuid not null,
  response text,
  responded_at timestamp with time zone,
  withheld text,
  constraint incident_device_pkey PRIMARY KEY (organization_id, incident_id, device_id),
  constraint incident_device_organization_id_incident_id_fkey FOREIGN KEY (organization_id, incident_id) REFERENCES incident(organization_id, id),
  constraint incident_device_check CHECK (((responded_at IS NOT NULL) = (response IS NOT NULL))),
  constraint incident_device_response_check CHECK ((response = ANY (ARRAY['slow'::text, 'require_attestation'::text, 'revoke_sessions'::text, 'suspend'::text]))),
  constraint incident_device_withheld_check CHECK ((withheld = ANY (ARRAY['dry_run'::text, 'limit'::text])))
);
alter table incident_device owner to qflare_owner;
CREATE INDEX incident_device_incidents ON public.incident_device USING btree (organization_id, device_id, incident_id);
CREATE INDEX incident_device_responses ON public.incident_device USING btree (organization_id, responded_at) WHERE (responded_at IS NOT NULL);
alter table incident_device enable row level security;
alter table incident_device force row level security;
create policy tenant on incident_device as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on incident_device as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant select on incident_device to qflare_api;
grant delete, insert, select on incident_device to qflare_worker;
grant update (response, responded_at, withheld) on incident_device to qflare_worker;

create table incident_event (
  organization_id uuid not null,
  incident_id uuid not null,
  index bigint not null,
  event_id uuid not null,
  at timestamp with time zone not null,
  constraint incident_event_pkey PRIMARY KEY (organization_id, incident_id, index),
  constraint incident_event_organization_id_incident_id_fkey FOREIGN KEY (organization_id, incident_id) REFERENCES incident(organization_id, id)
);
alter table incident_event owner to qflare_owner;
alter table incident_event enable row level security;
alter table incident_event force row level security;
create policy tenant on incident_event as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on incident_event as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant select on incident_event to qflare_api;
grant delete, insert, select on incident_event to qflare_worker;

create table incident_notice (
  organization_id uuid not null,
  id uuid not null,
  incident_id uuid not null,
  type text not null,
  body text not null,
  created_at timestamp with time zone not null,
  attempts integer not null default 0,
  next_attempt_at timestamp with time zone not null,
  constraint incident_notice_pkey PRIMARY KEY (organization_id, id),
  constraint incident_notice_organization_id_incident_id_fkey FOREIGN KEY (organization_id, incident_id) REFERENCES incident(organization_id, id),
  constraint incident_notice_attempts_check CHECK ((attempts >= 0)),
  constraint incident_notice_body_check CHECK (((length(body) >= 2) AND (length(body) <= 4096))),
  constraint incident_notice_type_check CHECK ((type = ANY (ARRAY['incident.opened'::text, 'incident.escalated'::text])))
);
alter table incident_notice owner to qflare_owner;
CREATE INDEX incident_notice_due ON public.incident_notice USING btree (next_attempt_at);
alter table incident_notice enable row level security;
alter table incident_notice force row level security;
create policy list_due on incident_notice as permissive for select to qflare_jobs
  using (true);
create policy tenant on incident_notice as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on incident_notice as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant delete, insert, select on incident_notice to qflare_worker;
grant select (organization_id, id, next_attempt_at) on incident_notice to qflare_jobs;
grant update (attempts, next_attempt_at) on incident_notice to qflare_worker;

create table kek_version (
  purpose integer not null,
  version bigint not null,
  sealed bytea,
  status text not null,
  created_at timestamp with time zone not null,
  due_at timestamp with time zone,
  retired_at timestamp with time zone,
  destroyed_at timestamp with time zone,
  uses bigint,
  constraint kek_version_pkey PRIMARY KEY (purpose, version),
  constraint kek_version_is_sound CHECK ((((status = 'ACTIVE'::text) = (retired_at IS NULL)) AND ((status = 'DESTROYED'::text) = (destroyed_at IS NOT NULL)) AND ((status = 'DESTROYED'::text) = (sealed IS NULL)))),
  constraint kek_version_purpose_check CHECK (((purpose >= 1) AND (purpose <= 65535))),
  constraint kek_version_status_check CHECK ((status = ANY (ARRAY['ACTIVE'::text, 'RETIRED'::text, 'DESTROYED'::text]))),
  constraint kek_version_version_check CHECK (((version >= 1) AND (version <= '4294967295'::bigint)))
);
alter table kek_version owner to qflare_owner;
CREATE UNIQUE INDEX kek_version_active ON public.kek_version USING btree (purpose) WHERE (status = 'ACTIVE'::text);
CREATE TRIGGER keep_key_of_attester_macs BEFORE UPDATE ON public.kek_version FOR EACH ROW WHEN (((new.status = 'DESTROYED'::text) AND (old.purpose = 3))) EXECUTE FUNCTION keep_key_of_attester_macs();
CREATE TRIGGER keep_key_of_input_macs BEFORE UPDATE ON public.kek_version FOR EACH ROW WHEN (((new.status = 'DESTROYED'::text) AND (old.purpose = 3))) EXECUTE FUNCTION keep_key_of_input_macs();
CREATE TRIGGER keep_key_of_policy_macs BEFORE UPDATE ON public.kek_version FOR EACH ROW WHEN (((new.status = 'DESTROYED'::text) AND (old.purpose = 3))) EXECUTE FUNCTION keep_key_of_policy_macs();
grant select on kek_version to qflare_api;
grant select on kek_version to qflare_jobs;
grant select on kek_version to qflare_sequencer;
grant insert, select on kek_version to qflare_worker;
grant update (sealed, status, destroyed_at, uses) on kek_version to qflare_jobs;
grant update (status, due_at, retired_at) on kek_version to qflare_worker;

create table kept_attestation_result (
  organization_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  evidence_id uuid not null,
  kid text not null,
  policy_id text not null,
  tier text not null,
  ear text not null,
  appraised_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  findings text not null default '{}'::text,
  session_id uuid,
  constraint kept_attestation_result_pkey PRIMARY KEY (organization_id, id)
);
alter table kept_attestation_result owner to qflare_owner;
CREATE INDEX kept_attestation_result_principal ON public.kept_attestation_result USING btree (organization_id, principal_id, id);
alter table kept_attestation_result enable row level security;
alter table kept_attestation_result force row level security;
create policy find_relied on kept_attestation_result as permissive for select to qflare_jobs
  using (true);
create policy tenant on kept_attestation_result as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on kept_attestation_result as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant select on kept_attestation_result to qflare_api;
grant delete, insert, select on kept_attestation_result to qflare_worker;
grant select (organization_id, id, principal_id) on kept_attestation_result to qflare_jobs;

create table key_use (
  organization_id uuid not null,
  device_id uuid not null,
  uses bigint not null,
  is_told boolean not null,
  constraint key_use_pkey PRIMARY KEY (organization_id, device_id),
  constraint key_use_uses_check CHECK ((uses >= 0))
);
alter table key_use owner to qflare_owner;
alter table key_use enable row level security;
alter table key_use force row level security;
create policy tenant on key_use as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on key_use as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on key_use to qflare_worker;
grant update (uses, is_told) on key_use to qflare_worker;

create table monitor_position (
  organization_id uuid not null,
  next_index bigint not null,
  constraint monitor_position_pkey PRIMARY KEY (organization_id),
  constraint monitor_position_next_index_check CHECK ((next_index >= 0))
);
alter table monitor_position owner to qflare_owner;
alter table monitor_position enable row level security;
alter table monitor_position force row level security;
create policy tenant on monitor_position as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on monitor_position as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on monitor_position to qflare_worker;
grant update (next_index) on monitor_position to qflare_worker;

create table monitor_settings (
  organization_id uuid not null,
  body text not null,
  changed_at timestamp with time zone not null,
  constraint monitor_settings_pkey PRIMARY KEY (organization_id),
  constraint monitor_settings_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organization(id),
  constraint monitor_settings_body_check CHECK ((length(body) <= 16384))
);
alter table monitor_settings owner to qflare_owner;
alter table monitor_settings enable row level security;
alter table monitor_settings force row level security;
create policy tenant on monitor_settings as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on monitor_settings as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on monitor_settings to qflare_api;
grant select on monitor_settings to qflare_worker;
grant update (body, changed_at) on monitor_settings to qflare_api;

create table monitor_signal (
  organization_id uuid not null,
  rule text not null,
  subject text not null,
  index bigint not null,
  event_id uuid not null,
  at timestamp with time zone not null,
  count bigint not null,
  device_id uuid,
  constraint monitor_signal_pkey PRIMARY KEY (organization_id, rule, subject, index),
  constraint monitor_signal_count_check CHECK ((count > 0)),
  constraint monitor_signal_subject_check CHECK (((length(subject) >= 1) AND (length(subject) <= 200)))
);
alter table monitor_signal owner to qflare_owner;
CREATE INDEX monitor_signal_age ON public.monitor_signal USING btree (organization_id, at);
alter table monitor_signal enable row level security;
alter table monitor_signal force row level security;
create policy list_old on monitor_signal as permissive for select to qflare_jobs
  using (true);
create policy tenant on monitor_signal as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on monitor_signal as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant delete, insert, select on monitor_signal to qflare_worker;
grant select (organization_id, at) on monitor_signal to qflare_jobs;

create table monitor_state (
  is_only boolean not null default true,
  next_index bigint not null,
  constraint monitor_state_pkey PRIMARY KEY (is_only),
  constraint monitor_state_is_only_check CHECK (is_only),
  constraint monitor_state_next_index_check CHECK ((next_index >= 0))
);
alter table monitor_state owner to qflare_owner;
grant select on monitor_state to qflare_worker;
grant update (next_index) on monitor_state to qflare_worker;

create table organization (
  id uuid not null,
  name text not null,
  created_at timestamp with time zone not null,
  constraint organization_pkey PRIMARY KEY (id),
  constraint organization_name_key UNIQUE (name),
  constraint organization_name_check CHECK (((length(name) >= 1) AND (length(name) <= 128)))
);
alter table organization owner to qflare_owner;
alter table organization enable row level security;
alter table organization force row level security;
create policy list_organizations on organization as permissive for select to qflare_jobs
  using (true);
create policy tenant on organization as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((id = current_organization()))
  with check ((id = current_organization()));
create policy tenant_only on organization as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((id = current_organization()))
  with check ((id = current_organization()));
grant insert, select on organization to qflare_api;
grant select on organization to qflare_jobs;
grant insert, select on organization to qflare_worker;

create table principal (
  organization_id uuid not null,
  id uuid not null,
  kind principal_kind not null,
  name display_name not null,
  status principal_status not null,
  spiffe_id text not null,
  metadata jsonb not null,
  active_session_id uuid,
  pending_session_ids pending_sessions not null default '{}'::uuid[],
  created_at timestamp with time zone not null,
  last_seen_at timestamp with time zone,
  revoked_at timestamp with time zone,
  type device_label,
  capabilities device_capabilities not null default '{}'::text[],
  key_generation integer not null default 1,
  policy_id text not null default 'none'::text,
  next_attestation_at timestamp with time zone,
  attestations_missed integer not null default 0,
  slowed_until timestamp with time zone,
  attestation_required_since timestamp with time zone,
  constraint principal_pkey PRIMARY KEY (organization_id, id),
  constraint principal_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organization(id),
  constraint principal_attestations_missed_check CHECK ((attestations_missed >= 0)),
  constraint principal_is_sound CHECK ((((status = 'REVOKED'::principal_status) = (revoked_at IS NOT NULL)) AND ((status = 'ACTIVE'::principal_status) OR ((active_session_id IS NULL) AND (cardinality((pending_session_ids)::uuid[]) = 0)))))
) with (fillfactor=80);
alter table principal owner to qflare_owner;
CREATE INDEX principal_attestation_due ON public.principal USING btree (next_attestation_at) WHERE ((next_attestation_at IS NOT NULL) AND (active_session_id IS NOT NULL) AND (status = 'ACTIVE'::principal_status));
CREATE INDEX principal_barred ON public.principal USING btree (organization_id, id) WHERE (status = ANY (ARRAY['QUARANTINED'::principal_status, 'SUSPENDED'::principal_status, 'REVOKED'::principal_status]));
CREATE INDEX principal_coordinators ON public.principal USING btree (organization_id, id) WHERE (kind = 'coordinator'::principal_kind);
CREATE INDEX principal_held ON public.principal USING btree (organization_id, id) WHERE (status = ANY (ARRAY['PENDING'::principal_status, 'QUARANTINED'::principal_status, 'SUSPENDED'::principal_status]));
CREATE INDEX principal_name ON public.principal USING btree (organization_id, name COLLATE "C", id);
CREATE INDEX principal_revoked ON public.principal USING btree (organization_id, id) WHERE (status = 'REVOKED'::principal_status);
CREATE INDEX principal_type ON public.principal USING btree (organization_id, type, id) WHERE (type IS NOT NULL);
alter table principal enable row level security;
alter table principal force row level security;
create policy list_overdue on principal as permissive for select to qflare_jobs
  using (true);
create policy tenant on principal as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on principal as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on principal to qflare_api;
grant update (name, status, metadata, active_session_id, pending_session_ids, last_seen_at, revoked_at, type, capabilities, key_generation, next_attestation_at, attestations_missed, slowed_until, attestation_required_since) on principal to qflare_api;
grant select (organization_id, id, status, active_session_id, next_attestation_at) on principal to qflare_jobs;
grant select (organization_id, id, status, active_session_id, pending_session_ids, next_attestation_at, attestations_missed, slowed_until, attestation_required_since), update (status, active_session_id, pending_session_ids, next_attestation_at, attestations_missed, slowed_until, attestation_required_since) on principal to qflare_worker;

create table reference_value (
  organization_id uuid not null,
  id uuid not null,
  format text not null,
  name display_name not null,
  body text not null,
  body_hash bytea not null,
  mac bytea not null,
  mac_key_version bigint not null,
  mac_mismatched_at timestamp with time zone,
  created_at timestamp with time zone not null,
  removed_at timestamp with time zone,
  constraint reference_value_pkey PRIMARY KEY (organization_id, id),
  constraint reference_value_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organization(id),
  constraint reference_value_body_check CHECK (((length(body) >= 2) AND (length(body) <= 65536))),
  constraint reference_value_body_hash_check CHECK ((length(body_hash) = 32)),
  constraint reference_value_check CHECK ((removed_at >= created_at)),
  constraint reference_value_mac_check CHECK ((length(mac) = 32))
);
alter table reference_value owner to qflare_owner;
CREATE UNIQUE INDEX reference_value_live ON public.reference_value USING btree (organization_id, format, name, body_hash) WHERE (removed_at IS NULL);
CREATE INDEX reference_value_mac_version ON public.reference_value USING btree (mac_key_version, organization_id, id) WHERE (mac_mismatched_at IS NULL);
CREATE INDEX reference_value_name ON public.reference_value USING btree (organization_id, format, name);
CREATE TRIGGER unchanging BEFORE DELETE OR UPDATE ON public.reference_value FOR EACH ROW EXECUTE FUNCTION refuse_input_change();
CREATE TRIGGER unchanging_table BEFORE TRUNCATE ON public.reference_value FOR EACH STATEMENT EXECUTE FUNCTION refuse_input_change();
alter table reference_value enable row level security;
alter table reference_value force row level security;
create policy rotate_keys on reference_value as permissive for select to qflare_jobs
  using (true);
create policy tenant on reference_value as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on reference_value as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on reference_value to qflare_api;
grant select on reference_value to qflare_worker;
grant update (mac, mac_key_version, removed_at) on reference_value to qflare_api;
grant select (organization_id, id, mac_key_version, mac_mismatched_at) on reference_value to qflare_jobs;
grant update (mac, mac_key_version, mac_mismatched_at) on reference_value to qflare_worker;

create table revocation (
  organization_id uuid not null,
  sequence bigint not null,
  principal_id uuid not null,
  status principal_status not null,
  changed_at timestamp with time zone not null,
  constraint revocation_pkey PRIMARY KEY (organization_id, sequence),
  constraint revocation_organization_id_principal_id_fkey FOREIGN KEY (organization_id, principal_id) REFERENCES principal(organization_id, id),
  constraint revocation_sequence_check CHECK ((sequence > 0))
);
alter table revocation owner to qflare_owner;
CREATE INDEX revocation_age ON public.revocation USING btree (changed_at);
alter table revocation enable row level security;
alter table revocation force row level security;
create policy list_old on revocation as permissive for select to qflare_jobs
  using (true);
create policy tenant on revocation as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on revocation as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on revocation to qflare_api;
grant delete, insert, select on revocation to qflare_worker;
grant select (organization_id, changed_at) on revocation to qflare_jobs;
grant select (organization_id, sequence, changed_at) on revocation to qflare_worker;

create table revocation_feed (
  organization_id uuid not null,
  last_sequence bigint not null,
  constraint revocation_feed_pkey PRIMARY KEY (organization_id),
  constraint revocation_feed_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organization(id),
  constraint revocation_feed_last_sequence_check CHECK ((last_sequence >= 0))
);
alter table revocation_feed owner to qflare_owner;
alter table revocation_feed enable row level security;
alter table revocation_feed force row level security;
create policy tenant on revocation_feed as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on revocation_feed as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on revocation_feed to qflare_api;
grant insert, select on revocation_feed to qflare_worker;
grant update (last_sequence) on revocation_feed to qflare_api;
grant update (last_sequence) on revocation_feed to qflare_worker;

create table rotation_challenge (
  organization_id uuid not null,
  principal_id uuid not null,
  id uuid not null,
  old_kid text not null,
  sealed_challenge bytea not null,
  expires_at timestamp with time zone not null,
  consumed_at timestamp with time zone,
  completion_hash bytea,
  mismatched_at timestamp with time zone,
  attestation_result_id uuid,
  constraint rotation_challenge_pkey PRIMARY KEY (organization_id, principal_id),
  constraint rotation_challenge_organization_id_old_kid_fkey FOREIGN KEY (organization_id, old_kid) REFERENCES identity_key(organization_id, kid),
  constraint rotation_challenge_organization_id_principal_id_fkey FOREIGN KEY (organization_id, principal_id) REFERENCES principal(organization_id, id),
  constraint rotation_challenge_check CHECK (((consumed_at IS NULL) = (completion_hash IS NULL))),
  constraint rotation_challenge_check1 CHECK (((attestation_result_id IS NULL) OR (consumed_at IS NOT NULL))),
  constraint rotation_challenge_completion_hash_check CHECK ((length(completion_hash) = 32))
);
alter table rotation_challenge owner to qflare_owner;
alter table rotation_challenge enable row level security;
alter table rotation_challenge force row level security;
create policy tenant on rotation_challenge as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on rotation_challenge as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on rotation_challenge to qflare_api;
grant update (id, old_kid, sealed_challenge, expires_at, consumed_at, completion_hash, mismatched_at, attestation_result_id) on rotation_challenge to qflare_api;

create table round (
  organization_id uuid not null,
  federation_id uuid not null,
  round bigint not null,
  state round_state not null,
  min_participants integer not null,
  opened_at timestamp with time zone not null,
  closed_at timestamp with time zone,
  closing_hash bytea,
  aggregate_hash text,
  certificate text,
  signature bytea,
  signature_kid text,
  trust_sequence bigint,
  event_id uuid,
  event text,
  constraint round_pkey PRIMARY KEY (organization_id, federation_id, round),
  constraint round_organization_id_federation_id_fkey FOREIGN KEY (organization_id, federation_id) REFERENCES federation(organization_id, id),
  constraint round_trust_sequence_fkey FOREIGN KEY (trust_sequence) REFERENCES trust_bundle(sequence),
  constraint round_closing_hash_check CHECK ((length(closing_hash) = 32)),
  constraint round_is_sound CHECK (((num_nulls(closed_at, closing_hash, certificate, signature, signature_kid, trust_sequence, event_id, event) =
CASE state
    WHEN 'OPEN'::round_state THEN 8
    ELSE 0
END) AND ((state <> 'OPEN'::round_state) OR (aggregate_hash IS NULL)))),
  constraint round_min_participants_check CHECK ((min_participants > 0)),
  constraint round_round_check CHECK ((round > 0))
);
alter table round owner to qflare_owner;
alter table round enable row level security;
alter table round force row level security;
create policy find_relied on round as permissive for select to qflare_jobs
  using (true);
create policy tenant on round as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on round as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on round to qflare_api;
grant update (state, closed_at, closing_hash, aggregate_hash, certificate, signature, signature_kid, trust_sequence, event_id, event) on round to qflare_api;
grant select (organization_id, federation_id, round, state) on round to qflare_jobs;

create table round_participant (
  organization_id uuid not null,
  federation_id uuid not null,
  round bigint not null,
  device_id uuid not null,
  session_id uuid not null,
  epoch bigint not null,
  commitment text not null,
  kid text not null,
  tier text not null,
  attestation_id uuid not null,
  given_at timestamp with time zone not null,
  gone_at timestamp with time zone,
  constraint round_participant_pkey PRIMARY KEY (organization_id, federation_id, round, device_id),
  constraint round_participant_commitment_check CHECK ((length(commitment) = 43)),
  constraint round_participant_epoch_check CHECK ((epoch >= 0)),
  constraint round_participant_tier_check CHECK ((tier = ANY (ARRAY['none'::text, 'affirming'::text, 'warning'::text])))
);
alter table round_participant owner to qflare_owner;
CREATE INDEX round_participant_gone ON public.round_participant USING btree (organization_id, federation_id, round, device_id) WHERE (gone_at IS NOT NULL);
alter table round_participant enable row level security;
alter table round_participant force row level security;
create policy find_relied on round_participant as permissive for select to qflare_jobs
  using (true);
create policy tenant on round_participant as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on round_participant as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on round_participant to qflare_api;
grant update (session_id, epoch, commitment, kid, tier, attestation_id, given_at, gone_at) on round_participant to qflare_api;
grant select (organization_id, federation_id, round, attestation_id) on round_participant to qflare_jobs;

create table schema_migration (
  name text not null,
  applied_at timestamp with time zone not null default clock_timestamp(),
  sha256 text,
  constraint schema_migration_pkey PRIMARY KEY (name)
);
alter table schema_migration owner to qflare_owner;
grant select on schema_migration to qflare_api;
grant select on schema_migration to qflare_auditor;
grant select on schema_migration to qflare_queues;
grant select on schema_migration to qflare_sequencer;
grant select on schema_migration to qflare_worker;

create table session (
  organization_id uuid not null,
  id uuid not null,
  principal_id uuid not null,
  state session_state not null,
  suite text not null,
  bucket bigint not null,
  last_epoch bigint not null,
  created_at timestamp with time zone not null,
  expires_at timestamp with time zone not null,
  confirmed_at timestamp with time zone,
  superseded_at timestamp with time zone,
  ended_at timestamp with time zone,
  chains bytea,
  confirmation_hash bytea,
  token_epoch bigint,
  token_nonces renewal_nonces not null default '{}'::bytea[],
  constraint session_pkey PRIMARY KEY (organization_id, id),
  constraint session_is_sound CHECK (is_session_sound(state, ((last_epoch - bucket) + 1), length(chains), length(confirmation_hash), (confirmed_at IS NOT NULL), (superseded_at IS NOT NULL), (ended_at IS NOT NULL)))
) partition by RANGE (id);
alter table session owner to qflare_owner;
CREATE INDEX session_epochs ON ONLY public.session USING btree (bucket, last_epoch) WHERE (chains IS NOT NULL);
CREATE INDEX session_principal ON ONLY public.session USING btree (organization_id, principal_id, id);
alter table session enable row level security;
alter table session force row level security;
create policy count_epochs on session as permissive for select to qflare_jobs
  using (true);
create policy tenant on session as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on session as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on session to qflare_api;
grant update (state, confirmed_at, superseded_at, ended_at, chains, confirmation_hash, token_epoch, token_nonces) on session to qflare_api;
grant select (organization_id, id, state, bucket, last_epoch, created_at, expires_at, superseded_at, chains) on session to qflare_jobs;
grant select (organization_id, id, principal_id, state, created_at, expires_at, superseded_at), update (state, ended_at, chains, confirmation_hash) on session to qflare_worker;

create table signing_key (
  kid text not null,
  key_use text not null,
  alg text not null,
  public_key bytea not null,
  sealed_seed bytea,
  status text not null,
  not_before timestamp with time zone not null,
  not_after timestamp with time zone not null,
  published_at timestamp with time zone not null,
  activated_at timestamp with time zone,
  retired_at timestamp with time zone,
  constraint signing_key_pkey PRIMARY KEY (kid),
  constraint signing_key_check CHECK ((not_before < not_after)),
  constraint signing_key_is_sound CHECK ((((status = 'PUBLISHED'::text) = (activated_at IS NULL)) AND ((status = 'RETIRED'::text) = (retired_at IS NOT NULL)) AND ((status = 'RETIRED'::text) = (sealed_seed IS NULL)))),
  constraint signing_key_key_use_check CHECK ((key_use = ANY (ARRAY['root'::text, 'bucket'::text, 'audit'::text, 'attestation'::text]))),
  constraint signing_key_status_check CHECK ((status = ANY (ARRAY['PUBLISHED'::text, 'ACTIVE'::text, 'RETIRED'::text])))
);
alter table signing_key owner to qflare_owner;
CREATE UNIQUE INDEX signing_key_active ON public.signing_key USING btree (key_use, alg) WHERE (status = 'ACTIVE'::text);
CREATE UNIQUE INDEX signing_key_published ON public.signing_key USING btree (key_use, alg) WHERE (status = 'PUBLISHED'::text);
grant select on signing_key to qflare_api;
grant select on signing_key to qflare_jobs;
grant select on signing_key to qflare_sequencer;
grant insert, select on signing_key to qflare_worker;
grant update (published_at) on signing_key to qflare_jobs;
grant update (sealed_seed, status, not_after, activated_at, retired_at) on signing_key to qflare_worker;

create table temporal_key (
  kind text not null,
  number bigint not null,
  generation integer not null,
  record_hash bytea not null,
  made_at timestamp with time zone not null,
  destroyed_at timestamp with time zone,
  sessions bigint,
  counted_at timestamp with time zone,
  key_version bigint,
  constraint temporal_key_pkey PRIMARY KEY (kind, number, generation),
  constraint is_counted CHECK (((sessions IS NULL) = (counted_at IS NULL))),
  constraint temporal_key_generation_check CHECK ((generation >= 0)),
  constraint temporal_key_kind_check CHECK ((kind = ANY (ARRAY['epoch'::text, 'bucket'::text]))),
  constraint temporal_key_number_check CHECK ((number >= 0)),
  constraint temporal_key_record_hash_check CHECK ((length(record_hash) = 32)),
  constraint temporal_key_sessions_check CHECK ((sessions >= 0))
);
alter table temporal_key owner to qflare_owner;
CREATE INDEX temporal_key_alive ON public.temporal_key USING btree (number) WHERE (destroyed_at IS NULL);
grant select on temporal_key to qflare_api;
grant select on temporal_key to qflare_jobs;
grant insert, select on temporal_key to qflare_worker;
grant update (destroyed_at, sessions, counted_at) on temporal_key to qflare_worker;

create table threat_score (
  organization_id uuid not null,
  device_id uuid not null,
  score double precision not null,
  scored_at timestamp with time zone not null,
  constraint threat_score_pkey PRIMARY KEY (organization_id, device_id),
  constraint threat_score_score_check CHECK ((score >= (0)::double precision))
);
alter table threat_score owner to qflare_owner;
alter table threat_score enable row level security;
alter table threat_score force row level security;
create policy list_old on threat_score as permissive for select to qflare_jobs
  using (true);
create policy tenant on threat_score as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on threat_score as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant select on threat_score to qflare_api;
grant delete, insert, select on threat_score to qflare_worker;
grant select (organization_id, scored_at) on threat_score to qflare_jobs;
grant update (score, scored_at) on threat_score to qflare_worker;

create table trust_anchor (
  organization_id uuid not null,
  id uuid not null,
  format text not null,
  kind trust_anchor_kind not null,
  lookup_id text not null,
  der bytea not null,
  name display_name not null,
  mac bytea not null,
  mac_key_version bigint not null,
  mac_mismatched_at timestamp with time zone,
  created_at timestamp with time zone not null,
  removed_at timestamp with time zone,
  constraint trust_anchor_pkey PRIMARY KEY (organization_id, id),
  constraint trust_anchor_organization_id_fkey FOREIGN KEY (organization_id) REFERENCES organization(id),
  constraint trust_anchor_check CHECK ((removed_at >= created_at)),
  constraint trust_anchor_der_check CHECK (((length(der) >= 1) AND (length(der) <= 8192))),
  constraint trust_anchor_lookup_id_check CHECK (((length(lookup_id) >= 1) AND (length(lookup_id) <= 160))),
  constraint trust_anchor_mac_check CHECK ((length(mac) = 32))
);
alter table trust_anchor owner to qflare_owner;
CREATE UNIQUE INDEX trust_anchor_live ON public.trust_anchor USING btree (organization_id, format, lookup_id, kind, sha256(der)) WHERE (removed_at IS NULL);
CREATE INDEX trust_anchor_lookup ON public.trust_anchor USING btree (organization_id, format, lookup_id);
CREATE INDEX trust_anchor_mac_version ON public.trust_anchor USING btree (mac_key_version, organization_id, id) WHERE (mac_mismatched_at IS NULL);
CREATE TRIGGER unchanging BEFORE DELETE OR UPDATE ON public.trust_anchor FOR EACH ROW EXECUTE FUNCTION refuse_input_change();
CREATE TRIGGER unchanging_table BEFORE TRUNCATE ON public.trust_anchor FOR EACH STATEMENT EXECUTE FUNCTION refuse_input_change();
alter table trust_anchor enable row level security;
alter table trust_anchor force row level security;
create policy rotate_keys on trust_anchor as permissive for select to qflare_jobs
  using (true);
create policy tenant on trust_anchor as permissive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
create policy tenant_only on trust_anchor as restrictive for all to qflare_api, qflare_auditor, qflare_worker
  using ((organization_id = current_organization()))
  with check ((organization_id = current_organization()));
grant insert, select on trust_anchor to qflare_api;
grant select on trust_anchor to qflare_worker;
grant update (mac, mac_key_version, removed_at) on trust_anchor to qflare_api;
grant select (organization_id, id, mac_key_version, mac_mismatched_at) on trust_anchor to qflare_jobs;
grant update (mac, mac_key_version, mac_mismatched_at) on trust_anchor to qflare_worker;

create table trust_bundle (
  sequence bigint not null,
  body jsonb not null,
  created_at timestamp with time zone not null,
  constraint trust_bundle_pkey PRIMARY KEY (sequence),
  constraint trust_bundle_sequence_check CHECK ((sequence > 0))
);
alter table trust_bundle owner to qflare_owner;
grant select on trust_bundle to qflare_api;
grant insert, select on trust_bundle to qflare_jobs;
grant select on trust_bundle to qflare_sequencer;
grant insert, select on trust_bundle to qflare_worker;

create table trust_bundle_draft (
  sequence bigint not null,
  body jsonb not null,
  sign_before timestamp with time zone,
  created_at timestamp with time zone not null,
  told_at timestamp with time zone,
  constraint trust_bundle_draft_pkey PRIMARY KEY (sequence),
  constraint trust_bundle_draft_sequence_check CHECK ((sequence > 1))
);
alter table trust_bundle_draft owner to qflare_owner;
CREATE UNIQUE INDEX trust_bundle_draft_alone ON public.trust_bundle_draft USING btree ((true));
grant select on trust_bundle_draft to qflare_api;
grant delete, select on trust_bundle_draft to qflare_jobs;
grant delete, insert, select, update on trust_bundle_draft to qflare_worker;
