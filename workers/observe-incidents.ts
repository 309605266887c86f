import type { Database } from '../database/open.ts'
import { countOpenIncidents } from '../database/repositories/handle-incidents.ts'
import { readMonitorLag } from '../database/repositories/monitor.ts'
import { incidentSeverities } from '../protocol/monitor/rules.ts'
import type { Metrics } from '../runtime/metrics.ts'

/** Read when somebody asks: every worker process says the same, whichever ran the job. */
export function observeIncidents({ database, metrics }: { database: Database; metrics: Metrics }): void {
  Object.assign(metrics.incidentsOpen, {
    async collect() {
      const found = await database.withoutOrganization(countOpenIncidents)
      for (const severity of incidentSeverities) {
        metrics.incidentsOpen.set({ severity }, found.find((one) => one.severity === severity)?.count ?? 0)
      }
    },
  })
  Object.assign(metrics.monitorLagEntries, {
    async collect() {
      metrics.monitorLagEntries.set(await database.withoutOrganization(readMonitorLag))
    },
  })
}
