import type { Database } from '../database/open.ts'
import { countOpenSessions } from '../database/repositories/session-ends.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { observeTogether } from '../runtime/observe-together.ts'

/** As often as `end-sessions` looks through them: it costs about as much. */
const COUNT_EVERY_MS = 60_000

/** Of all organizations: every worker process says the same, whichever of them counted. */
export function observeSessions({
  database,
  metrics,
  logger,
}: {
  database: Database
  metrics: Metrics
  logger: Logger
}): void {
  observeTogether({
    name: 'sessions',
    logger,
    keepMs: COUNT_EVERY_MS,
    gauges: [metrics.sessions],
    look: () => database.withoutOrganization(countOpenSessions),
    show(counts) {
      for (const [state, count] of Object.entries(counts)) metrics.sessions.set({ state }, count)
    },
  })
}
