import { LATEST_SCHEMA_VERSION, runMigrations } from 'bullmq'
import type { Client } from 'pg'

/** The name that BullMQ takes when it is given a pool, so that queues and workers of a process share one. */
export const QUEUE_SCHEMA = 'bullmq'

/** Brings BullMQ's own tables and functions to the version of the package. `client` is the owner's, and alone in migrating. */
export async function migrateQueues(client: Client): Promise<void> {
  // BullMQ locks its ledger even where there is nothing to do, and processes of the release before may be at work on it.
  if ((await readVersion(client)) < LATEST_SCHEMA_VERSION) await runMigrations(client, QUEUE_SCHEMA)
}

async function readVersion(client: Client): Promise<number> {
  const { rows } = await client.query(`select to_regclass('${QUEUE_SCHEMA}.migration') is not null as is_begun`)
  if (rows[0]?.is_begun !== true) return 0
  const { rows: versions } = await client.query<{ version: number }>(
    `select coalesce(max(version), 0)::int as version from ${QUEUE_SCHEMA}.migration`,
  )
  return versions[0]?.version ?? 0
}
