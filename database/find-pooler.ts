import { Client, type ClientConfig } from 'pg'
import { DatabaseError } from './errors.ts'

/**
 * Whether something else answers in PostgreSQL's place and hands its connections round, as PgBouncer does: the process that the
 * connection was told of is none of PostgreSQL's then.
 */
export async function isBehindPooler(client: Client): Promise<boolean> {
  const { processID } = client as Client & { processID: number | null }
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
  return rows[0]?.pid !== processID
}

/** `requireDirect` by a connection of its own. */
export async function checkDirect(connection: ClientConfig, what: string): Promise<void> {
  const client = new Client({ ...connection, connectionTimeoutMillis: 5_000 })
  await client.connect()
  try {
    await requireDirect(client, what)
  } finally {
    await client.end()
  }
}

/**
 * `refused` behind a pooler: what lasts as long as its connection (locks, LISTEN, a role) would be left on one that others get next,
 * and a lock that is kept there is a lock that everybody has.
 */
export async function requireDirect(client: Client, what: string): Promise<void> {
  if (!(await isBehindPooler(client))) return
  throw new DatabaseError(
    'refused',
    `${what} need a connection to PostgreSQL itself, and a pooler is in between (docs/operations.md, "A pooler").`,
  )
}
