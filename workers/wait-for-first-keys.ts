import { setTimeout as sleep } from 'node:timers/promises'
import type { Database } from '../database/open.ts'
import { listTrustBundles } from '../database/repositories/service-keys.ts'
import type { Logger } from '../runtime/logger.ts'

const FIRST_KEYS_WITHIN_MS = 60_000

/** Of a fleet that starts all at once any process may be faster than the worker that makes the keys. */
export async function waitForFirstKeys(database: Database, logger: Logger): Promise<void> {
  const deadline = performance.now() + FIRST_KEYS_WITHIN_MS
  let isSaid = false
  while ((await database.withoutOrganization((tx) => listTrustBundles(tx, 0, 1))).length === 0) {
    if (performance.now() > deadline) return
    if (!isSaid) logger.info('waiting for a process with the role worker, which makes the first keys')
    isSaid = true
    await sleep(500)
  }
}
