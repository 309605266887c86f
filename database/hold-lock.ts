import { Client, type ClientConfig } from 'pg'
import { requireDirect } from './find-pooler.ts'

/** An advisory lock that lasts as long as its connection. */
export interface HeldLock {
  isHeld(): boolean
  release(): Promise<void>
}

/**
 * Undefined when another process has it. `onBroken`: the connection broke, and the lock with it. Throws when there is no server, and
 * `refused` behind a pooler.
 */
export async function tryHoldLock(
  connection: ClientConfig,
  lock: { key: number; applicationName: string; isShared?: boolean },
  onBroken: () => void,
): Promise<HeldLock | undefined> {
  const client = new Client({ ...connection, application_name: lock.applicationName, keepAlive: true })
  let isHeld = false
  client.on('error', () => {
    if (!isHeld) return
    isHeld = false
    onBroken()
  })
  try {
    await client.connect()
    await requireDirect(client, 'Locks')
    const take = lock.isShared ? 'pg_try_advisory_lock_shared' : 'pg_try_advisory_lock'
    const { rows } = await client.query<{ held: boolean }>(`select ${take}($1) as held`, [lock.key])
    isHeld = rows[0]?.held === true
  } finally {
    // What went wrong is thrown already; an end that fails on top of it says nothing new.
    if (!isHeld) await client.end().catch(() => {})
  }
  if (!isHeld) return undefined
  return {
    isHeld: () => isHeld,
    async release() {
      isHeld = false
      await client.end().catch(() => {
        // It broke before, and holds nothing any more.
      })
    },
  }
}
