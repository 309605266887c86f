import { Client, type ClientConfig } from 'pg'
import { readAppliedMigrations } from './applied-migrations.ts'

export interface ServerFacts {
  /** '18.4' */
  version: string
  sizeBytes: number
  /** A service works on it now. */
  isInUse: boolean
  /** Of this release's order, where they are applied. */
  migrations: string[]
  /** Of them those of which nobody kept what they were. */
  unhashedMigrations: string[]
}

/** What a login may always ask. Changes nothing. */
export async function readServerFacts(connection: ClientConfig): Promise<ServerFacts> {
  return ask(connection, async (client) => {
    const { rows } = await client.query<{ version: string; size: string; is_in_use: boolean; is_migrated: boolean }>(
      `select current_setting('server_version') as version, pg_database_size(current_database()) as size,
        exists (select from pg_stat_activity where application_name in ('qflare owner', 'qflare_claim')) as is_in_use,
        to_regclass('schema_migration') is not null as is_migrated`,
    )
    const [row] = rows
    if (row === undefined) throw new Error('The server gave no answer.')
    const { applied, unhashed } = row.is_migrated ? await readAppliedMigrations(client) : { applied: [], unhashed: [] }
    return {
      version: row.version.split(' ')[0] ?? row.version,
      sizeBytes: Number(row.size),
      isInUse: row.is_in_use,
      migrations: applied,
      unhashedMigrations: unhashed,
    }
  })
}

/** What else is at work on the database; what a login may not see of it is undefined. Changes nothing. */
export interface Neighbours {
  /** It takes no writes. */
  isReplica: boolean
  /** Processes that hold it, with temporal keys. */
  processes: number
  /** A process is the sequencer, or waits to be. */
  hasSequencer: boolean
  /** Servers that follow it. */
  replicas: { name: string; state: string | undefined; behindBytes: number | undefined }[]
  /** Of write-ahead log that is kept for a follower who is not there. */
  idleSlots: { name: string; keptBytes: number }[]
}

export async function readNeighbours(connection: ClientConfig): Promise<Neighbours> {
  return ask(connection, async (client) => {
    const activity = await client.query<{ is_replica: boolean; processes: string; sequencers: string }>(
      `select pg_is_in_recovery() as is_replica,
        count(*) filter (where application_name = 'qflare_claim' and datname = current_database()
          or application_name = 'qflare owner') as processes,
        count(*) filter (where application_name = 'qflare_sequencer_lock' and datname = current_database()) as sequencers
        from pg_stat_activity`,
    )
    const [row] = activity.rows
    // The place of now: of a replica what it has received itself.
    const here = 'case when pg_is_in_recovery() then pg_last_wal_receive_lsn() else pg_current_wal_lsn() end'
    const replicas = await client.query<{ name: string; state: string | null; behind: string | null }>(
      `select application_name as name, state, pg_wal_lsn_diff(${here}, coalesce(replay_lsn, sent_lsn)) as behind
        from pg_stat_replication where application_name not like 'qflare_backup%' order by application_name`,
    )
    const slots = await client.query<{ name: string; kept: string | null }>(
      `select slot_name as name, pg_wal_lsn_diff(${here}, restart_lsn) as kept from pg_replication_slots where not active`,
    )
    return {
      isReplica: row?.is_replica === true,
      processes: Number(row?.processes),
      hasSequencer: Number(row?.sequencers) > 0,
      replicas: replicas.rows.map(({ name, state, behind }) => ({
        name,
        state: state ?? undefined,
        behindBytes: behind === null ? undefined : Number(behind),
      })),
      idleSlots: slots.rows.map(({ name, kept }) => ({ name, keptBytes: Number(kept ?? 0) })),
    }
  })
}

/** How much there is of what must survive. As a superuser: of all organizations. */
export interface DatabaseCounts {
  organizations: number
  principals: number
  identityKeys: number
  attestations: number
  federations: number
  trustBundles: number
  logEntries: number
  waitingEvents: number
}

export async function countDatabase(superuser: ClientConfig): Promise<DatabaseCounts> {
  return ask(superuser, async (client) => {
    const { rows } = await client.query<Record<keyof DatabaseCounts, number>>(
      `select (select count(*)::float8 from organization) as organizations,
        (select count(*)::float8 from principal) as principals,
        (select count(*)::float8 from identity_key) as "identityKeys",
        (select count(*)::float8 from attestation_result) as attestations,
        (select count(*)::float8 from federation) as federations,
        (select count(*)::float8 from trust_bundle) as "trustBundles",
        (select size::float8 from audit_log_state) as "logEntries",
        (select count(*)::float8 from audit_outbox) as "waitingEvents"`,
    )
    const [row] = rows
    if (row === undefined) throw new Error('The server gave no answer.')
    return row
  })
}

/** Whether a login can change the schema. */
export async function isMigrator(connection: ClientConfig): Promise<boolean> {
  return ask(connection, async (client) => {
    const { rows } = await client.query<{ can: boolean }>(
      // Before PostgreSQL 16 a member may always become the role, and nothing is called 'set'.
      `select exists (
        select from pg_roles
        where rolname = 'qflare_owner' and pg_has_role(current_user, oid,
          case when current_setting('server_version_num')::int < 160000 then 'member' else 'set' end)
      ) as can`,
    )
    return rows[0]?.can === true
  })
}

async function ask<T>(connection: ClientConfig, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ ...connection, connectionTimeoutMillis: 5_000, query_timeout: 10_000 })
  // What breaks tells the query that waits.
  client.on('error', () => {})
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}
