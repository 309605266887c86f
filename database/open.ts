import { sql, type Transaction } from 'kysely'
import { type ClientConfig, Pool, DatabaseError as PostgresError, types } from 'pg'
import { createConnectionShares, NOBODY } from './connection-shares.ts'
import { toDatabaseError } from './errors.ts'
import { arePreparedGood, nameStatements, openKysely, postgresql, type TraceStep } from './open-kysely.ts'
import { runPipelined, type StatementResult } from './pipelined-transaction.ts'
import type { Tables } from './tables.ts'

/** A transaction as one organization. What needs one takes it; nothing else gives out a connection. */
export type Tx = Transaction<Tables>

/** One prepared statement of a pipelined transaction: one text per name. */
export interface Statement {
  name: string
  text: string
  values: unknown[]
}

/** Whose rows a transaction sees: an organization, or that of the id, by the directory (none, if the id is unknown). */
export type Scope = { organizationId: string } | { organizationOf: string }

/**
 * Whether PostgreSQL keeps the statements of a transaction prepared, for those that run often. Each text is kept on each connection,
 * so it is for work whose texts are few: none with a list of any length in it.
 */
export type TransactionStatements = 'unprepared' | 'prepared'

export interface Database {
  /** Runs `work` in one transaction as one organization, a round trip per statement. */
  withOrganization<T>(
    organizationId: string,
    work: (tx: Tx) => Promise<T>,
    statements?: TransactionStatements,
  ): Promise<T>
  /** The same without an organization: tenant tables are empty, the service's own tables and the directory are there. */
  withoutOrganization<T>(work: (tx: Tx) => Promise<T>): Promise<T>
  /**
   * One transaction in one round trip, for the hot paths: every statement is sent before the first is answered. All of
   * them are stored, or none is and this throws. The first element of the answer is the organization, '' if unknown.
   */
  sendTransaction(scope: Scope, statements: readonly Statement[]): Promise<[string, ...StatementResult[]]>
  /** The server's clock in milliseconds since the Unix epoch. */
  readClock(): Promise<number>
  /** For the metrics. `waiting`: for which there is no connection. */
  connections(): { total: number; idle: number; waiting: number }
  close(): Promise<void>
}

export interface DatabaseOptions {
  connection: ClientConfig
  /** Set on every connection; undefined where the login is the role. */
  role: string | undefined
  /**
   * Behind a pooler in transaction mode, which gives each transaction another connection: nothing is prepared, and settings are made
   * in each transaction, in the round trip that names its organization. Without a role.
   */
  isPooled?: boolean
  maxConnections: number
  /** Milliseconds after which a connection that gives no answer is given up; default 35,000. */
  answerWithinMs?: number
  /** PostgreSQL refuses every change then. */
  readOnly?: boolean
  /** Told of transactions and statements: their texts, never their values. */
  trace?: TraceStep
  /** An idle connection broke: the pool replaces it, but somebody should know. */
  onConnectionLost: (error: Error) => void
}

/** For a connection, from its turn or from the server. Milliseconds. */
const CONNECT_WITHIN_MS = 5_000

const OID_INT8 = 20
const OID_TIMESTAMPTZ = 1184

function findTypeParser(oid: number): (text: string) => unknown {
  if (oid === OID_INT8) return Number
  if (oid === OID_TIMESTAMPTZ) return parseTimestamp
  return types.getTypeParser(oid, 'text') as (text: string) => unknown
}

export function openDatabase(options: DatabaseOptions): Database {
  const { isPooled = false, trace = untraced } = options
  const settings: Record<string, string> = {
    timezone: 'UTC',
    statement_timeout: '30000',
    idle_in_transaction_session_timeout: '30000',
  }
  if (options.readOnly === true) settings[isPooled ? 'transaction_read_only' : 'default_transaction_read_only'] = 'on'
  const inTransaction = isPooled ? settingCalls(settings) : ''
  // The planner would take every execution over partitions for worth a plan of its own, and planning costs more than running.
  if (!isPooled) settings.plan_cache_mode = 'force_generic_plan'
  if (options.role !== undefined) settings.role = options.role
  const pool = new Pool({
    ...options.connection,
    max: options.maxConnections,
    ...(isPooled ? {} : { options: startOptions(settings) }),
    connectionTimeoutMillis: CONNECT_WITHIN_MS,
    // A connection that a network dropped silently: the server's own limit cannot reach us then.
    query_timeout: options.answerWithinMs ?? 35_000,
    keepAlive: true,
    idleTimeoutMillis: 60_000,
    types: { getTypeParser: findTypeParser },
    application_name: options.role ?? 'qflare',
  })
  pool.on('error', options.onConnectionLost)
  // One that breaks while it is lent out tells its queries; without a listener of its own it would end the process too.
  pool.on('connect', (client) => client.on('error', () => {}))
  const shares = createConnectionShares(options.maxConnections, CONNECT_WITHIN_MS)
  const kyselies = {
    unprepared: openKysely(pool, (text) => ({ text }), trace),
    prepared: openKysely(pool, isPooled ? (text) => ({ text }) : nameStatements(), trace),
  }

  function transact<T>(
    organizationId: string,
    work: (tx: Tx) => Promise<T>,
    statements: TransactionStatements = 'unprepared',
  ): Promise<T> {
    return trace(
      () => ['transaction', postgresql],
      async () => {
        try {
          return await shares.run(organizationId, () =>
            kyselies[statements].transaction().execute(async (tx) => {
              await sql`select set_config('qflare.organization_id', ${organizationId}, true)${sql.raw(inTransaction)}`.execute(
                tx,
              )
              return await work(tx)
            }),
          )
        } catch (error) {
          throw toDatabaseError(error)
        }
      },
    )
  }

  return {
    withOrganization: transact,
    withoutOrganization: (work) => transact(NOBODY, work),
    sendTransaction(scope, statements) {
      return trace(
        () => [
          'transaction in one round trip',
          { ...postgresql, 'qflare.statements': statements.map(({ name }) => name).join(' ') },
        ],
        () =>
          shares.run('organizationId' in scope ? scope.organizationId : NOBODY, () =>
            sendTransaction(pool, [scopeStatement(scope, inTransaction), ...statements], !isPooled),
          ),
      )
    },
    async readClock() {
      try {
        const { rows } = await pool.query<{ now: number }>('select extract(epoch from clock_timestamp()) * 1000 as now')
        return Number((rows[0] as { now: number }).now)
      } catch (error) {
        throw toDatabaseError(error)
      }
    },
    connections() {
      const { totalCount: total, idleCount: idle, waitingCount } = pool
      // What was asked for in this turn waits too, until it is given one that is there or may be made.
      const free = idle + options.maxConnections - total
      return { total, idle, waiting: shares.waiting() + Math.max(0, waitingCount - free) }
    },
    close: () => pool.end(),
  }
}

const untraced: TraceStep = (_describe, work) => work()

function startOptions(settings: Record<string, string>): string {
  return Object.entries(settings)
    .map(([name, value]) => `-c ${name}=${value}`)
    .join(' ')
}

/** For the end of a list of what is selected. */
function settingCalls(settings: Record<string, string>): string {
  return Object.entries(settings)
    .map(([name, value]) => `, set_config('${name}', '${value}', true)`)
    .join('')
}

async function sendTransaction(
  pool: Pool,
  statements: readonly Statement[],
  keepsPrepared: boolean,
): Promise<[string, ...StatementResult[]]> {
  try {
    const client = await pool.connect()
    try {
      const [scoped, ...results] = await runPipelined(client, statements, findTypeParser, keepsPrepared)
      client.release()
      return [String(scoped?.rows[0]?.organization_id ?? ''), ...results]
    } catch (error) {
      client.release(!isConnectionGood(error))
      throw error
    }
  } catch (error) {
    throw toDatabaseError(error)
  }
}

/** A statement that PostgreSQL refused leaves the connection as good as before; most else does not. */
function isConnectionGood(error: unknown): boolean {
  if (!(error instanceof PostgresError) || error.severity === 'FATAL') return false
  return arePreparedGood(error)
}

function scopeStatement(scope: Scope, settings: string): Statement {
  if ('organizationId' in scope) {
    return {
      name: 'scope',
      text: `select set_config('qflare.organization_id', $1, true) as organization_id${settings}`,
      values: [scope.organizationId],
    }
  }
  return {
    name: 'scope_of',
    text: `select set_config('qflare.organization_id',
      (select organization_id::text from directory where id = $1), true) as organization_id${settings}`,
    values: [scope.organizationOf],
  }
}

/** PostgreSQL's text in UTC, as in `2026-11-22 06:40:24.123+00`. */
function parseTimestamp(text: string): number {
  return Date.parse(`${text.replace(' ', 'T')}:00`)
}
