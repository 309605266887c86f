import type { ClientConfig } from 'pg'
import { checkServer } from '../database/check-server.ts'
import { startEmbeddedPostgres } from '../database/embedded.ts'
import { inspectEmbedded } from '../database/inspect-embedded.ts'
import { migrate } from '../database/migrate.ts'
import { type Database, openDatabase } from '../database/open.ts'
import { EMBEDDED_DATABASE } from '../database/prepare-embedded.ts'
import type { Config } from '../runtime/config.ts'
import { OperationError } from './operation-error.ts'

/** The service's database as one of its roles, whether the service runs or not. */
export interface LocalDatabase extends AsyncDisposable {
  database: Database
  /** Of the embedded PostgreSQL; undefined where the database is somebody else's. */
  superuser: ClientConfig | undefined
}

type LocalRole = 'worker' | 'sequencer'

/** What is asked of the schema: nothing, or that it is this release's. */
export type SchemaWish = 'any' | 'current'

/**
 * A running embedded PostgreSQL is joined; a stopped one is started under the lock of its data folder, so that no service starts
 * meanwhile. Throws `no_database`, `database_unusable`, and DatabaseError `refused` when its schema is not what is asked for.
 */
export async function openLocalDatabase(
  config: Config,
  schema: SchemaWish,
  log: (message: string) => void,
  as: LocalRole = 'worker',
): Promise<LocalDatabase> {
  if (config.database !== undefined) {
    const connection = { connectionString: config.database[as] }
    const isPooled = config.database.direct !== undefined
    return open({ connection, role: undefined, isPooled, superuser: undefined, stop: async () => {} }, schema)
  }
  const found = await inspectEmbedded(config.dataDirectory)
  if (found.state === 'none') throw noDatabase(config.dataDirectory)
  if (found.state === 'unreadable') throw new OperationError('database_unusable', found.reason)
  if (found.state === 'running')
    return open(
      asRole(as, found.superuser, async () => {}),
      schema,
    )
  const postgres = await startEmbeddedPostgres({ dataDirectory: config.dataDirectory, log })
  const { host, port, superuserPassword: password } = postgres
  const superuser = { host, port, user: 'postgres', password, database: EMBEDDED_DATABASE }
  return open(
    asRole(as, superuser, () => postgres.stop()),
    schema,
  )
}

/** The one of a server that is this process's alone, migrated to this release's schema. */
export function openOwnDatabase(superuser: ClientConfig, as: LocalRole = 'worker'): Promise<LocalDatabase> {
  return open(
    asRole(as, { ...superuser, database: EMBEDDED_DATABASE }, async () => {}),
    'migrated',
  )
}

interface Server {
  connection: ClientConfig
  role: string | undefined
  isPooled: boolean
  superuser: ClientConfig | undefined
  stop(): Promise<void>
}

function asRole(role: LocalRole, superuser: ClientConfig, stop: () => Promise<void>): Server {
  return { connection: superuser, role: `qflare_${role}`, isPooled: false, superuser, stop }
}

async function open(
  { connection, role, isPooled, superuser, stop }: Server,
  schema: SchemaWish | 'migrated',
): Promise<LocalDatabase> {
  await using stack = new AsyncDisposableStack()
  stack.defer(stop)
  if (schema === 'migrated' && superuser !== undefined) await migrate(superuser)
  if (schema !== 'any') await checkServer(connection, role, isPooled)
  const database = openDatabase({ connection, role, isPooled, maxConnections: 2, onConnectionLost: () => {} })
  stack.defer(() => database.close())
  const opened = stack.move()
  return { database, superuser, [Symbol.asyncDispose]: () => opened.disposeAsync() }
}

export function noDatabase(dataDirectory: string): OperationError {
  return new OperationError(
    'no_database',
    `There is no database in ${dataDirectory}. Is this the folder that the service was started in? --data-dir names another.`,
  )
}
