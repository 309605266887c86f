import { setTimeout as sleep } from 'node:timers/promises'
import { Client, DatabaseError } from 'pg'
import { EmbeddedPostgresError, inUseError } from './error.ts'
import { postgresPort } from './socket-folder.ts'

export interface OwnerConnection {
  /** as the server reports it: '18.4' */
  readonly serverVersion: string
  close(): Promise<void>
}

interface Claim {
  readonly socketFolder: string
  readonly password: string
  readonly dataDirectory: string
  /** how long the lock may be another's: a dead owner's server process needs a moment to notice */
  readonly waitMs: number
  readonly onLost: () => void
}

/** 'QFLARE' in ASCII */
const ownerLock = BigInt(0x51464c415245).toString()
/** "the database system is starting up", "… shutting down" */
const cannotConnectNow = '57P03'
const startingWithinMs = 120_000
const answerWithinMs = 5_000
const retryMs = 50

/**
 * Becomes the one owner of a cluster: a connection that holds an advisory lock for as long as it lives.
 *
 * @returns undefined when no healthy server answers
 * @throws EmbeddedPostgresError 'in_use', 'start_failed' (refuses our superuser)
 */
export async function claimCluster(claim: Claim): Promise<OwnerConnection | undefined> {
  const connected = await connect(claim)
  if (!connected) return undefined
  let closing = false
  const client = connected
  const close = async () => {
    closing = true
    // an end that the server does not answer must not hold us up
    await Promise.race([client.end().catch(() => undefined), sleep(1_000, undefined, { ref: false })])
  }
  try {
    const deadline = performance.now() + claim.waitMs
    for (;;) {
      const { rows } = await client.query<{ locked: boolean; version: string }>(
        "select pg_try_advisory_lock($1) as locked, current_setting('server_version') as version",
        [ownerLock],
      )
      if (rows[0]?.locked) {
        client.on('end', () => {
          if (!closing) claim.onLost()
          closing = true
        })
        return { serverVersion: rows[0].version, close }
      }
      if (performance.now() > deadline) throw inUseError(claim.dataDirectory)
      await sleep(retryMs)
    }
  } catch (error) {
    await close()
    if (error instanceof EmbeddedPostgresError) throw error
    return undefined
  }
}

async function connect({ socketFolder, password }: Claim): Promise<Client | undefined> {
  const deadline = performance.now() + startingWithinMs
  for (;;) {
    const client = new Client({
      host: socketFolder,
      port: postgresPort,
      user: 'postgres',
      database: 'postgres',
      password,
      ssl: false,
      application_name: 'qflare owner',
      connectionTimeoutMillis: answerWithinMs,
      query_timeout: answerWithinMs,
    })
    // without a listener the death of the server would end this process; 'end' follows in any case
    client.on('error', () => undefined)
    try {
      await client.connect()
      return client
    } catch (error) {
      await Promise.race([client.end().catch(() => undefined), sleep(100)])
      if (!(error instanceof DatabaseError)) return undefined
      if (error.code !== cannotConnectNow) {
        throw new EmbeddedPostgresError(
          'start_failed',
          `PostgreSQL in ${socketFolder} runs, but refuses the superuser (${error.code}: ${error.message}). ` +
            'If that is the password: restore the file "password" beside its data.',
          { cause: error },
        )
      }
      if (performance.now() > deadline) return undefined
      await sleep(retryMs)
    }
  }
}
