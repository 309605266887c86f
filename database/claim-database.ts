import { setTimeout as sleep } from 'node:timers/promises'
import type { ClientConfig } from 'pg'
import { DatabaseError } from './errors.ts'
import { type HeldLock, tryHoldLock } from './hold-lock.ts'

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
  let lock = await take(connection, reclaim)

  function reclaim(): void {
    if (isReleased) return
    void retake()
  }

  async function retake(): Promise<void> {
    while (!isReleased) {
      try {
        lock = await take(connection, reclaim)
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
      await lock.release()
    },
  }
}

async function take(connection: ClientConfig, onBroken: () => void): Promise<HeldLock> {
  const lock = await tryHoldLock(connection, { key: SERVICE_LOCK, applicationName: 'qflare_claim' }, onBroken)
  if (lock !== undefined) return lock
  throw new DatabaseError(
    'refused',
    'Another QFLARE process works on this database. In this release it is one process per database: stop the other one first.',
  )
}
