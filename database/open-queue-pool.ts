import type { PgPool } from 'bullmq'
import { Pool, DatabaseError as PostgresError } from 'pg'
import type { DirectConnection } from './connect-roles.ts'
import { QUEUE_SCHEMA } from './migrate-queues.ts'

export interface QueuePoolOptions {
  connection: DirectConnection
  /** Workers in this process: each listens on a connection of its own. */
  workers: number
  onAway: (error: Error) => void
  onBack: () => void
}

/** Statements of all queues of a process; each takes a millisecond. */
const SHARED_CONNECTIONS = 2

/**
 * The connections of BullMQ's PostgreSQL backend: one pool for all queues and workers of a process. What breaks is told once, not
 * by each of them, and comes to BullMQ as a refused connection, which it waits out; other errors it would try again at once.
 */
export function openQueuePool({ connection, workers, onAway, onBack }: QueuePoolOptions): PgPool {
  const settings = [`-c search_path=${QUEUE_SCHEMA}`, '-c statement_timeout=30000']
  if (connection.role !== undefined) settings.push(`-c role=${connection.role}`)
  const pool = new Pool({
    ...connection.connection,
    max: workers + SHARED_CONNECTIONS,
    options: settings.join(' '),
    connectionTimeoutMillis: 5_000,
    query_timeout: 35_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    idleTimeoutMillis: 30_000,
    application_name: 'qflare_queues',
  })
  let isAway = false
  const noteAway = (error: Error): void => {
    if (!isAway) onAway(error)
    isAway = true
  }
  // BullMQ hears of a lost connection from the statement that fails; one that is lent out would end the process without a listener.
  pool.on('error', noteAway)
  pool.on('connect', (client) => client.on('error', () => {}))

  async function run<T>(work: () => Promise<T>): Promise<T> {
    try {
      const result = await work()
      if (isAway) onBack()
      isAway = false
      return result
    } catch (error) {
      if (!(error instanceof Error) || !isOfConnection(error)) throw error
      noteAway(error)
      throw Object.assign(new Error(`PostgreSQL is away: ${error.message}`, { cause: error }), { code: 'ECONNREFUSED' })
    }
  }
  return Object.assign(
    {
      query: (text: string, values?: readonly unknown[]) =>
        run(() => pool.query(text, values as unknown[] | undefined)),
      connect: () => run(() => pool.connect()),
      end: () => pool.end(),
      on() {
        return this
      },
      removeAllListeners() {
        return this
      },
    },
    { options: { keepAlive: true } },
  ) as unknown as PgPool
}

/** Anything that is no answer of PostgreSQL to the statement itself. */
function isOfConnection(error: Error): boolean {
  return !(error instanceof PostgresError) || error.severity === 'FATAL' || /^(08|57P|53)/.test(error.code ?? '')
}
