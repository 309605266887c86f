import type { Database } from '../database/open.ts'
import { countOpenIncidents } from '../database/repositories/handle-incidents.ts'
import { readMonitorLag } from '../database/repositories/monitor.ts'
import { incidentSeverities } from '../protocol/monitor/rules.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { observeTogether } from '../runtime/observe-together.ts'

/** Read when somebody asks: every worker process says the same, whichever ran the job. */
export function observeIncidents({
  database,
  metrics,
  logger,
}: {
  database: Database
  metrics: Metrics
  logger: Logger
}): void {
  observeTogether({
    name: 'incidents',
    logger,
    gauges: [metrics.incidentsOpen, metrics.monitorLagEntries],
    look: () =>
      database.withoutOrganization(async (tx) => ({
        open: await countOpenIncidents(tx),
        lag: await readMonitorLag(tx),
      })),
    show({ open, lag }) {
      for (const severity of incidentSeverities) {
        metrics.incidentsOpen.set({ severity }, open.find((one) => one.severity === severity)?.count ?? 0)
      }
      metrics.monitorLagEntries.set(lag)
    },
  })
}
