import type { ClientConfig } from 'pg'
import { claimDatabase } from './claim-database.ts'
import { startEmbeddedPostgres } from './embedded.ts'
import { prepareEmbedded } from './prepare-embedded.ts'

/** Roles that a process works as (design: storage.md "Roles"). */
export const databaseRoles = ['api', 'auditor', 'worker', 'sequencer'] as const
export type DatabaseRole = (typeof databaseRoles)[number]

/** `role` is set on every connection; undefined where the login has it. */
export interface RoleConnection {
  connection: ClientConfig
  role: string | undefined
}

export type RoleConnections = Record<DatabaseRole, RoleConnection> & { migrator: ClientConfig }

export interface ConnectOptions {
  /** One login for each role; undefined: the embedded PostgreSQL of the data folder. */
  urls: Record<DatabaseRole | 'migrator', string> | undefined
  dataDirectory: string
  /** Whether the process holds what only one may hold of a database: temporal keys. */
  claims: boolean
  log: (message: string) => void
  /** Before an embedded cluster is made; may throw. */
  beforeCreating: () => Promise<void>
  onLost: () => void
}

/** Where each role connects. What was started or claimed for it is undone by the stack. */
export async function connectRoles(options: ConnectOptions, stack: AsyncDisposableStack): Promise<RoleConnections> {
  const { urls, dataDirectory, log, onLost } = options
  if (urls !== undefined) {
    if (options.claims) {
      const use = await claimDatabase({ connectionString: urls.worker }, onLost)
      stack.defer(() => use.release())
    }
    const migrator = { connectionString: urls.migrator }
    return { ...forRoles((name) => ({ connection: { connectionString: urls[name] }, role: undefined })), migrator }
  }
  const postgres = await startEmbeddedPostgres({
    dataDirectory,
    log,
    beforeCreating: options.beforeCreating,
    onLost,
  })
  stack.defer(() => postgres.stop())
  const { login, superuser } = await prepareEmbedded(postgres)
  return { ...forRoles((name) => ({ connection: login, role: `qflare_${name}` })), migrator: superuser }
}

function forRoles(connect: (name: DatabaseRole) => RoleConnection): Record<DatabaseRole, RoleConnection> {
  return {
    api: connect('api'),
    auditor: connect('auditor'),
    worker: connect('worker'),
    sequencer: connect('sequencer'),
  }
}
