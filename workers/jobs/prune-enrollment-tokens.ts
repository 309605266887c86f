// Running it twice is harmless, halfway and at once too: a token goes with its challenge, in the transaction of its event, and what is
// gone is not listed again.

import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { deleteUnusedTokens, listUnusedTokens } from '../../database/repositories/enrollment-token-retention.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Progress } from '../job.ts'

/** After its end somebody may still want to see that a token was never used. */
export const KEEP_UNUSED_TOKENS_MS = 90 * 86_400_000
/** Tokens of one look-up; those of an organization are of one transaction. */
const BATCH = 1_000

export interface PruneEnrollmentTokensParts {
  database: Database
  writeEvent: WriteEvent
}

/**
 * Deletes enrolment tokens that nobody has used until they expired or were revoked, 90 days after that, and their challenges; how
 * many. A token that was used stays: it says with what its device came in.
 */
export async function pruneEnrollmentTokens(
  parts: PruneEnrollmentTokensParts,
  now: number,
  progress: Progress = async () => {},
): Promise<number> {
  const { database } = parts
  const endedBefore = now - KEEP_UNUSED_TOKENS_MS
  let pruned = 0
  for (;;) {
    const found = await database.withoutOrganization((tx) => listUnusedTokens(tx, endedBefore, BATCH))
    let deleted = 0
    for (const [organizationId, own] of Map.groupBy(found, (token) => token.organizationId)) {
      const names = { organizationId, ids: own.map(({ id }) => id) }
      deleted += await database.withOrganization(organizationId, (tx) =>
        prune(parts, tx, { ...names, endedBefore }, now),
      )
      await progress(pruned + deleted, pruned + found.length)
    }
    pruned += deleted
    if (deleted === 0) return pruned
  }
}

export async function pruneOldEnrollmentTokens(
  parts: PruneEnrollmentTokensParts & { logger: Logger },
  now: number,
  progress: Progress,
): Promise<void> {
  const count = await pruneEnrollmentTokens(parts, now, progress)
  if (count > 0) parts.logger.info('enrolment tokens that nobody used were deleted', { count })
}

async function prune(
  { writeEvent }: PruneEnrollmentTokensParts,
  tx: Tx,
  { organizationId, ids, endedBefore }: { organizationId: string; ids: readonly string[]; endedBefore: number },
  now: number,
): Promise<number> {
  const tokens = await deleteUnusedTokens(tx, ids, endedBefore)
  if (tokens === 0) return 0
  const event = writeEvent(
    {
      organizationId,
      actor: { type: 'service', id: NIL_UUID },
      type: 'enrollment_tokens.pruned',
      subject: {},
      data: { endedBefore, tokens },
      requestId: newId(),
    },
    now,
  )
  await insertEvents(tx, [event])
  return tokens
}
