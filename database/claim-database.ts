import { setTimeout as sleep } from 'node:timers/promises'
import type { ClientConfig } from 'pg'
import { DatabaseError } from './errors.ts'
import { type HeldLock, tryHoldLock } from './hold-lock.ts'

/** Any number; the same in every release. */
const SERVICE_LOCK = 7_236_417_002
const RETRY_MS = 1_000

/**
 * Holds a database: for this process alone, or `isShared` among those that keep temporal keys in the same Redis. Where they are
 * files of one process, a second one would find them missing and make them anew, again and again. `refused` when another process
 * has it otherwise. A hold that breaks with the server is taken again when the server is back; `onLost` when another process was
 * faster.
 */
export async function claimDatabase(
  connection: ClientConfig,
  isShared: boolean,
  onLost: () => void,
): Promise<{ release(): Promise<void> }> {
  let isReleased = false
  let lock = await take(connection, isShared, reclaim)

  function reclaim(): void {
    if (isReleased) return
    void retake()
  }

  async function retake(): Promise<void> {
    while (!isReleased) {
      try {
        const taken = await take(connection, isShared, reclaim)
        // Nobody waits for this when he lets go: the server may be away for long.
        if (isReleased) await taken.release()
        else lock = taken
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

async function take(connection: ClientConfig, isShared: boolean, onBroken: () => void): Promise<HeldLock> {
  const lock = { key: SERVICE_LOCK, applicationName: 'qflare_claim', isShared }
  const held = await tryHoldLock(connection, lock, onBroken)
  if (held !== undefined) return held
  throw new DatabaseError(
    'refused',
    isShared
      ? 'Another QFLARE process works on this database and keeps temporal keys in files: stop it, and start it with QFLARE_TEMPORAL_REDIS_URL.'
      : 'Another QFLARE process works on this database. Temporal keys in files are of one process: stop the other one first, or set' +
          ' QFLARE_TEMPORAL_REDIS_URL, the same Redis, for all of them.',
  )
}
