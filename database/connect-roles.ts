import type { ClientConfig } from 'pg'
import { claimDatabase } from './claim-database.ts'
import { startEmbeddedPostgres } from './embedded.ts'
import { prepareEmbedded } from './prepare-embedded.ts'

/** Roles that a process works as (design: storage.md "Roles"). */
export const databaseRoles = ['api', 'auditor', 'worker', 'sequencer', 'queues'] as const
export type DatabaseRole = (typeof databaseRoles)[number]

/** `role` is set on every connection; undefined where the login has it. */
export interface DirectConnection {
  connection: ClientConfig
  role: string | undefined
}

export interface RoleConnection extends DirectConnection {
  /** Behind a pooler in transaction mode. */
  isPooled: boolean
}

export type RoleConnections = Record<Exclude<DatabaseRole, 'queues'>, RoleConnection> & {
  /** Undefined where there is no login for it: the queues are on Redis then. */
  queues: DirectConnection | undefined
  /** Undefined where there is no login for it: somebody else migrates. */
  migrator: ClientConfig | undefined
  /** For locks that last as long as their connection. */
  locks: ClientConfig
}

export interface ConnectOptions {
  /**
   * One login for each role; undefined: the embedded PostgreSQL of the data folder. With `direct`, which is PostgreSQL itself as any
   * of them, the others but `queues` and `migrator` go through a pooler in transaction mode.
   */
  urls:
    | (Record<Exclude<DatabaseRole, 'queues'>, string> & Record<'queues' | 'migrator' | 'direct', string | undefined>)
    | undefined
  dataDirectory: string
  /** How the process holds the database for its temporal keys; undefined: it has none of them. */
  claim: 'alone' | 'shared' | undefined
  log: (message: string) => void
  /** Before an embedded cluster is made; may throw. */
  beforeCreating: () => Promise<void>
  onLost: () => void
}

/** Where each role connects. What was started or claimed for it is undone by the stack. */
export async function connectRoles(options: ConnectOptions, stack: AsyncDisposableStack): Promise<RoleConnections> {
  const { urls, dataDirectory, log, onLost } = options
  if (urls !== undefined) {
    if (options.claim !== undefined) {
      const use = await claimDatabase({ connectionString: urls.direct ?? urls.api }, options.claim === 'shared', onLost)
      stack.defer(() => use.release())
    }
    const isPooled = urls.direct !== undefined
    const withLogin = (connectionString: string) => ({ connection: { connectionString }, role: undefined, isPooled })
    return {
      api: withLogin(urls.api),
      auditor: withLogin(urls.auditor),
      worker: withLogin(urls.worker),
      sequencer: withLogin(urls.sequencer),
      queues: urls.queues === undefined ? undefined : withLogin(urls.queues),
      migrator: urls.migrator === undefined ? undefined : { connectionString: urls.migrator },
      locks: { connectionString: urls.direct ?? urls.sequencer },
    }
  }
  const postgres = await startEmbeddedPostgres({
    dataDirectory,
    log,
    beforeCreating: options.beforeCreating,
    onLost,
  })
  stack.defer(() => postgres.stop())
  const { login, superuser } = await prepareEmbedded(postgres)
  const asRole = (name: DatabaseRole) => ({ connection: login, role: `qflare_${name}`, isPooled: false })
  return {
    api: asRole('api'),
    auditor: asRole('auditor'),
    worker: asRole('worker'),
    sequencer: asRole('sequencer'),
    queues: asRole('queues'),
    migrator: superuser,
    locks: login,
  }
}
