import type { Database } from '../database/open.ts'
import { countEndingApiTokens } from '../database/repositories/api-token-ends.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { observeTogether } from '../runtime/observe-together.ts'

/** Of all organizations; whose they are says the log of each. */
export function observeApiTokens(parts: {
  database: Database
  clock: Pick<Clock, 'now'>
  metrics: Metrics
  logger: Logger
}): void {
  const { database, clock, metrics, logger } = parts
  observeTogether({
    name: 'API tokens',
    logger,
    gauges: [metrics.apiTokensEnding],
    look: () => database.withoutOrganization((tx) => countEndingApiTokens(tx, clock.now())),
    show: (count) => metrics.apiTokensEnding.set(count),
  })
}
