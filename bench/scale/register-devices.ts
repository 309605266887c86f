import type { Client } from 'pg'
import { BUCKET_MS, bucketAt } from '../../protocol/exchange/bucket.ts'
import { SESSION_MS } from '../../protocol/exchange/session-states.ts'

/**
 * Registers devices `from` to `to`, each with a key, a directory entry and an ACTIVE session of the current bucket, by one
 * INSERT … SELECT generate_series a table: a million in one to four minutes. Their keys and MACs are filler, so that none of them
 * could exchange, and their sessions hold the chain of one epoch instead of 13; the statistics are as autovacuum would
 * leave them.
 */
export async function registerDevices(sql: Client, from: number, to: number): Promise<void> {
  const now = Date.now()
  const bucket = bucketAt(now)
  await sql.query(`create or replace function pg_temp.bench_id(time_ms bigint, version text, i bigint) returns uuid
    language sql immutable as $$
      select (lpad(to_hex(time_ms), 12, '0') || version || substr(md5(i::text), 1, 3) || '8' || substr(md5(i::text), 4, 15))::uuid
    $$`)
  const series = `generate_series(${from}::bigint, ${to}::bigint) i, (select id from organization order by id limit 1) o`
  // A device in every millisecond before now, as its UUIDv7 says.
  const device = `pg_temp.bench_id(${now} - i, '7', i)`
  const session = `pg_temp.bench_id(${bucket * BUCKET_MS}, '8', i)`
  const at = (ms: number) => `to_timestamp(${ms} / 1000.0)`
  await sql.query(`insert into directory (id, organization_id) select ${device}, o.id from ${series}`)
  await sql.query(`insert into principal (organization_id, id, kind, name, status, spiffe_id, metadata, active_session_id,
      created_at, last_seen_at)
    select o.id, ${device}, 'device', 'bench-' || i, 'ACTIVE', 'spiffe://bench/device/' || i, '{}', ${session},
      ${at(now)}, ${at(now)} from ${series}`)
  await sql.query(`insert into identity_key (organization_id, kid, principal_id, alg, public_key, status, mac,
      mac_key_version, created_at)
    select o.id, substr(md5(i::text), 1, 22), ${device}, 'ML-DSA-44', decode(repeat(md5(i::text), 82), 'hex'), 'ACTIVE',
      decode(repeat(md5(i::text), 2), 'hex'), 1, ${at(now)} from ${series}`)
  await sql.query(`insert into session (organization_id, id, principal_id, state, suite, bucket, last_epoch, created_at,
      expires_at, confirmed_at, chains, confirmation_hash)
    select o.id, ${session}, ${device}, 'ACTIVE', 'ML-KEM-1024', ${bucket}, ${bucket}, ${at(now)}, ${at(now + SESSION_MS)},
      ${at(now)}, decode(repeat('00', 99), 'hex'), decode(repeat(md5(i::text), 2), 'hex') from ${series}`)
  await sql.query('vacuum analyze directory, principal, identity_key, session')
  await sql.query('checkpoint')
}

/** Ids of registered devices and of their sessions, spread over all of them. */
export async function pickDevices(sql: Client, count: number): Promise<{ deviceId: string; sessionId: string }[]> {
  const { rows } = await sql.query<{ deviceId: string; sessionId: string }>(
    `select id as "deviceId", active_session_id as "sessionId" from principal
      where spiffe_id like 'spiffe://bench/%' order by md5(id::text) limit $1`,
    [count],
  )
  return rows
}
