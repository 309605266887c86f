import { Client, type ClientConfig } from 'pg'

export interface ServerFacts {
  /** '18.4' */
  version: string
  sizeBytes: number
  /** A service works on it now. */
  isInUse: boolean
  /** Of this release's order, where they are applied. */
  migrations: string[]
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
    const applied = row.is_migrated
      ? await client.query<{ name: string }>('select name from schema_migration order by name')
      : { rows: [] }
    return {
      version: row.version.split(' ')[0] ?? row.version,
      sizeBytes: Number(row.size),
      isInUse: row.is_in_use,
      migrations: applied.rows.map(({ name }) => name),
    }
  })
}

/** Whether a login can change the schema. */
export async function isMigrator(connection: ClientConfig): Promise<boolean> {
  return ask(connection, async (client) => {
    const { rows } = await client.query<{ can: boolean }>(
      "select exists (select from pg_roles where rolname = 'qflare_owner' and pg_has_role(current_user, oid, 'set')) as can",
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
