import { readdir, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { toMessage } from './error.ts'
import type { Location } from './location.ts'
import { stopPostmaster } from './postmaster.ts'
import { findPostmaster } from './postmaster-file.ts'

const stopWithinMs = 5_000

/** What starts and restores that did not come to their end have left, servers too. Call under the folder lock only. */
export async function removeLeftovers({ folder, account }: Location, log: (message: string) => void): Promise<void> {
  const parent = dirname(folder)
  for (const name of await readdir(parent)) {
    if (!name.startsWith(`${basename(folder)}.new-`)) continue
    const left = join(parent, name)
    try {
      const cluster = { folder: left, pgdata: join(left, 'data'), account, password: '' }
      const running = await findPostmaster(cluster)
      if (running) await stopPostmaster(cluster, running.processId, stopWithinMs)
      // an initdb that outlived its starter may still be writing there
      await rm(left, { recursive: true, force: true, maxRetries: 5 })
    } catch (error) {
      log(`${left} is left from an interrupted start and could not be removed: ${toMessage(error)}`)
    }
  }
}
