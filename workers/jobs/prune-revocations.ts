// Running it twice is harmless: what is old is deleted, and is not found again. It has no event: what goes are copies of events, which
// stay in the log; whoever listens and has missed so much begins anew with who is barred then.

import type { Database } from '../../database/open.ts'
import { deleteOldRevocations, listOrganizationsWithOldNews } from '../../database/repositories/revocations.ts'
import type { Logger } from '../../runtime/logger.ts'

const DAY_MS = 86_400_000
/** Rows of one transaction, and of one look-up for the organizations that have some. */
const BATCH = 1_000

export interface PruneRevocationsParts {
  database: Database
  /** Of ended sessions; news are kept as long. */
  retentionDays: number
}

/** Deletes news of who may not take part that are older than the retention; how many. */
export async function pruneRevocations(
  parts: PruneRevocationsParts,
  now: number,
  progress: (done: number, total: number) => Promise<void> = async () => {},
): Promise<number> {
  const { database } = parts
  const before = now - parts.retentionDays * DAY_MS
  let deleted = 0
  for (;;) {
    const found = await database.withoutOrganization((tx) => listOrganizationsWithOldNews(tx, before, BATCH))
    if (found.length === 0) return deleted
    for (const organizationId of found) {
      deleted += await database.withOrganization(organizationId, (tx) => deleteOldRevocations(tx, before, BATCH))
      await progress(deleted, deleted)
    }
  }
}

export async function pruneOldRevocations(
  parts: PruneRevocationsParts & { logger: Logger },
  now: number,
  progress: (done: number, total: number) => Promise<void>,
): Promise<void> {
  const count = await pruneRevocations(parts, now, progress)
  if (count > 0) parts.logger.info('old news of revocations were deleted', { count })
}
