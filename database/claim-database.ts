import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type ClientConfig } from 'pg'
import { DatabaseError } from './errors.ts'

/** Any number; the same in every release. */
const SERVICE_LOCK = 7_236_417_002
const RETRY_MS = 1_000

/**
 * Holds a database for one process. Temporal keys are files of one process in this release: a second one would find them
 * missing and make them anew, again and again. `refused` when another process has it. A hold that breaks with the server is
 * taken again when the server is back; `onLost` when another process was faster.
 */
export async function claimDatabase(
  connection: ClientConfig,
  onLost: () => void,
): Promise<{ release(): Promise<void> }> {
  let isReleased = false
  let client = await take(connection, reclaim)

  function reclaim(): void {
    if (isReleased) return
    void retake()
  }

  async function retake(): Promise<void> {
    while (!isReleased) {
      try {
        client = await take(connection, reclaim)
        return
      } catch (error) {
        if (error instanceof DatabaseError) {
          onLost()
          return
        }
        await sleep(RETRY_MS, undefined, { ref: false })
      }
    }
  }

  return {
    async release() {
      isReleased = true
      await client.end().catch(() => {
        // It broke before, and holds nothing any more.
      })
    },
  }
}

async function take(connection: ClientConfig, onBroken: () => void): Promise<Client> {
  const client = new Client({ ...connection, application_name: 'qflare_claim', keepAlive: true })
  let isHeld = false
  client.on('error', () => {
    if (!isHeld) return
    isHeld = false
    onBroken()
  })
  try {
    await client.connect()
    const { rows } = await client.query<{ held: boolean }>('select pg_try_advisory_lock($1) as held', [SERVICE_LOCK])
    isHeld = rows[0]?.held === true
  } finally {
    // What went wrong is thrown already; an end that fails on top of it says nothing new.
    if (!isHeld) await client.end().catch(() => {})
  }
  if (isHeld) return client
  throw new DatabaseError(
    'refused',
    'Another QFLARE process works on this database. In this release it is one process per database: stop the other one first.',
  )
}
