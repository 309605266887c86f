import { Client, type ClientConfig } from 'pg'
import { DatabaseError } from './errors.ts'

/** Any number; the same in every release. */
const SERVICE_LOCK = 7_236_417_002

/**
 * Holds a database for one process. Temporal keys are files of one process in this release: a second one would find them
 * missing and make them anew, again and again. `refused` when another process has it; `onLost` when the hold breaks.
 */
export async function claimDatabase(
  connection: ClientConfig,
  onLost: () => void,
): Promise<{ release(): Promise<void> }> {
  const client = new Client({ ...connection, application_name: 'qflare_claim', keepAlive: true })
  let isReleased = false
  client.on('error', () => {
    if (!isReleased) onLost()
  })
  await client.connect()
  const { rows } = await client.query<{ held: boolean }>('select pg_try_advisory_lock($1) as held', [SERVICE_LOCK])
  if (rows[0]?.held !== true) {
    await client.end()
    throw new DatabaseError(
      'refused',
      'Another QFLARE process works on this database. In this release it is one process per database: stop the other one first.',
    )
  }
  return {
    async release() {
      isReleased = true
      await client.end()
    },
  }
}
