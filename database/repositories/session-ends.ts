import { sql } from 'kysely'
import type { SessionState } from '../../protocol/exchange/session-states.ts'
import type { Tx } from '../open.ts'

/** The end of sessions by time, for the jobs: what is found across tenants is ids, and each organization changes its own rows. */

/** Buckets, of any organization, that have sessions with key material; the oldest first. */
export async function listOpenBuckets(tx: Tx): Promise<number[]> {
  const { rows } = await sql<{ bucket: number }>`select bucket from list_open_buckets() as bucket`.execute(tx)
  return rows.map(({ bucket }) => bucket)
}

/** At most `limit` sessions of a bucket that time has ended: made, expired or superseded at these times or before. */
export async function listEndedSessions(
  tx: Tx,
  bucket: number,
  at: { madeAt: number; expiredAt: number; supersededAt: number },
  limit: number,
): Promise<{ organizationId: string; id: string }[]> {
  const times = [at.madeAt, at.expiredAt, at.supersededAt].map((time) => new Date(time))
  const { rows } = await sql<{ organization_id: string; id: string }>`
    select organization_id, id from list_ended_sessions(${bucket}, ${sql.join(times)}, ${limit})`.execute(tx)
  return rows.map(({ organization_id, id }) => ({ organizationId: organization_id, id }))
}

export interface OpenSession {
  id: string
  principalId: string
  /** As stored. */
  state: SessionState
  createdAt: number
  expiresAt: number
  supersededAt: number | undefined
}

/**
 * Of these sessions those that are PENDING, ACTIVE or SUPERSEDED, with the rows of their principals locked: nobody else changes
 * their states until the commit. Whose principal somebody else has locked is left out, and nobody is waited for.
 */
export async function lockOpenSessions(tx: Tx, ids: readonly string[]): Promise<OpenSession[]> {
  const principals = await tx
    .selectFrom('principal')
    .select('id')
    .where('id', 'in', (query) =>
      query.selectFrom('session').select('principal_id').where('id', '=', sql<string>`any (${ids}::uuid[])`),
    )
    .forNoKeyUpdate()
    .skipLocked()
    .execute()
  if (principals.length === 0) return []
  const rows = await tx
    .selectFrom('session')
    .select(['id', 'principal_id', 'state', 'created_at', 'expires_at', 'superseded_at'])
    .where('id', '=', sql<string>`any (${ids}::uuid[])`)
    .where('principal_id', '=', sql<string>`any (${principals.map(({ id }) => id)}::uuid[])`)
    .where('state', 'in', ['PENDING', 'ACTIVE', 'SUPERSEDED'])
    .execute()
  return rows.map((row) => ({
    id: row.id,
    principalId: row.principal_id,
    state: row.state,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
    supersededAt: row.superseded_at ?? undefined,
  }))
}

/**
 * Their principals are locked by the caller, who read `from` behind that lock; each row is hit, or this throws `condition_failed`.
 * Of an active session that time has ended no attestation is due any more.
 */
export async function endSessionRows(
  tx: Tx,
  ends: readonly { id: string; principalId: string; from: SessionState; to: SessionState; endedAt: number }[],
): Promise<void> {
  const ids = ends.map(({ id }) => id)
  await sql`with changed as (
      update session set state = e.next, chains = null, confirmation_hash = null, ended_at = e.ended_at
        from unnest(${ids}::uuid[], ${ends.map(({ from }) => from)}::session_state[],
          ${ends.map(({ to }) => to)}::session_state[], ${ends.map(({ endedAt }) => new Date(endedAt))}::timestamptz[])
          as e (id, previous, next, ended_at)
        where session.id = e.id and session.state = e.previous returning 1)
    select expect_one(1 + count(*) - ${ends.length}) from changed`.execute(tx)
  await sql`update principal set
      active_session_id = case when active_session_id = any (${ids}::uuid[]) then null else active_session_id end,
      next_attestation_at = case when active_session_id = any (${ids}::uuid[]) then null else next_attestation_at end,
      pending_session_ids = array(select one from unnest(pending_session_ids) with ordinality as pending (one, place)
        where one <> all (${ids}::uuid[]) order by place)
    where id = any (${ends.map(({ principalId }) => principalId)}::uuid[])
      and (active_session_id = any (${ids}::uuid[]) or pending_session_ids && ${ids}::uuid[])`.execute(tx)
}

/** Writes beside every epoch key that is alive how many sessions, of all organizations, hold a chain under it. */
export async function countSessionsOfEpochs(tx: Tx, countedAt: number): Promise<void> {
  await sql`with counted as materialized (select * from count_open_sessions())
    update temporal_key as k set counted_at = ${new Date(countedAt)}, sessions = (
        select coalesce(sum(c.sessions), 0) from counted c where k.number between c.bucket and c.last_epoch)
      where k.kind = 'epoch' and k.destroyed_at is null`.execute(tx)
}

/**
 * Sessions of all organizations that hold key material, by what their rows say. All are counted in an index; the pending and the
 * superseded ones, which are few, are looked for among them.
 */
export async function countOpenSessions(tx: Tx): Promise<Record<'PENDING' | 'ACTIVE' | 'SUPERSEDED', number>> {
  const never = sql`'-infinity'::timestamptz`
  const always = sql`'infinity'::timestamptz`
  const { rows } = await sql<{ open: number; pending: number; superseded: number }>`
    with buckets as materialized (select bucket from list_open_buckets() as bucket)
    select (select coalesce(sum(sessions), 0)::bigint from count_open_sessions()) as open,
      (select count(*) from buckets, list_ended_sessions(bucket, ${always}, ${never}, ${never}, ${MAX_PAGE})) as pending,
      (select count(*) from buckets, list_ended_sessions(bucket, ${never}, ${never}, ${always}, ${MAX_PAGE})) as superseded
  `.execute(tx)
  const { open, pending, superseded } = rows[0] as (typeof rows)[number]
  return { PENDING: pending, ACTIVE: open - pending - superseded, SUPERSEDED: superseded }
}

const MAX_PAGE = 2 ** 31 - 1

/** As it was counted last; undefined when it never was. */
export async function findSessionsOfEpoch(
  tx: Tx,
  key: { number: number; generation: number },
): Promise<{ sessions: number; countedAt: number } | undefined> {
  const row = await tx
    .selectFrom('temporal_key')
    .select(['sessions', 'counted_at'])
    .where('kind', '=', 'epoch')
    .where('number', '=', key.number)
    .where('generation', '=', key.generation)
    .executeTakeFirst()
  if (row === undefined || row.sessions === null || row.counted_at === null) return undefined
  return { sessions: row.sessions, countedAt: row.counted_at }
}

/** UTC days, `YYYY-MM-DD`, that there are partitions of sessions of; the oldest first. */
export async function listSessionDays(tx: Tx): Promise<string[]> {
  const { rows } = await sql<{ day: string }>`
    select regexp_replace(relname, '^session_(....)(..)(..)$', '\\1-\\2-\\3') as day
      from pg_inherits join pg_class on pg_class.oid = inhrelid
      where inhparent = 'session'::regclass order by day`.execute(tx)
  return rows.map(({ day }) => day)
}

/**
 * Drops a day's partition, whose last session ended before `endedBefore`; how many sessions it had, undefined when there is none
 * of that day. PostgreSQL refuses what is younger, or has a session with key material.
 */
export async function dropSessionPartition(tx: Tx, day: string, endedBefore: number): Promise<number | undefined> {
  const { rows } = await sql<{ sessions: number | null }>`
    select drop_session_partition(${day}::date, ${new Date(endedBefore)}) as sessions`.execute(tx)
  return rows[0]?.sessions ?? undefined
}
