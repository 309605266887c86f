// Running it twice is harmless, halfway and at once too: a token is marked by an update that finds it without a mark, and only what
// that hits has an event.

import type { Database } from '../../database/open.ts'
import { listEndingApiTokens, markApiTokenEndsTold } from '../../database/repositories/api-token-ends.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Progress } from '../job.ts'

/** Tokens that one look-up gives; those of one organization among them are one transaction. */
const BATCH = 500

export interface TellEndingApiTokensParts {
  database: Database
  writeEvent: WriteEvent
  logger: Logger
}

/** Tells of API tokens that end within two weeks, once each. */
export async function tellEndingApiTokens(
  parts: TellEndingApiTokensParts,
  now: number,
  progress: Progress,
): Promise<void> {
  let told = 0
  for (;;) {
    const ending = await parts.database.withoutOrganization((tx) => listEndingApiTokens(tx, now, BATCH))
    const before = told
    for (const [organizationId, tokens] of Map.groupBy(ending, (token) => token.organizationId)) {
      const ids = tokens.map(({ id }) => id)
      told += await tell(parts, organizationId, ids, now)
      await progress(told, before + ending.length)
    }
    // None of a whole batch: somebody else tells of them, and will see to the rest.
    if (ending.length < BATCH || told === before) break
  }
  if (told > 0) parts.logger.warn('API tokens end within two weeks', { count: told })
}

function tell(
  { database, writeEvent }: TellEndingApiTokensParts,
  organizationId: string,
  ids: readonly string[],
  now: number,
): Promise<number> {
  return database.withOrganization(organizationId, async (tx) => {
    const marked = await markApiTokenEndsTold(tx, ids, now)
    const shared = { organizationId, actor: { type: 'service', id: NIL_UUID }, requestId: newId() } as const
    const events = marked.map(({ id, name, expiresAt }) =>
      writeEvent({ ...shared, type: 'api_token.ending', subject: { apiTokenId: id }, data: { name, expiresAt } }, now),
    )
    if (events.length > 0) await insertEvents(tx, events)
    return marked.length
  })
}
