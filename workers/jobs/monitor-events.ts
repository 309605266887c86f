// Running it twice is harmless, halfway and at once too: what an organization's entries led to is stored with how far they were read,
// behind the lock of that position.

import type { Database } from '../../database/open.ts'
import type { Incident } from '../../database/repositories/incidents.ts'
import { advanceMonitorPosition, listWatchedEntries, readMonitorPosition } from '../../database/repositories/monitor.ts'
import { watchedEventTypes } from '../../protocol/monitor/rules.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Progress } from '../job.ts'
import { judgeEntries } from '../monitor/judge-entries.ts'

/** Of the log, in one look. */
const SPAN = 5_000

export interface MonitorEventsParts {
  database: Database
  /** As qflare_sequencer, who reads the log of all organizations. */
  storedLog: { database: Database }
  writeEvent: WriteEvent
  logger: Logger
}

/** The security monitor: reads what is new in the log, and opens incidents by its rules. How many it opened. */
export async function monitorEvents(
  parts: MonitorEventsParts,
  now: number,
  progress: Progress = async () => {},
): Promise<number> {
  const first = await parts.database.withoutOrganization(readMonitorPosition)
  let from = first
  let opened = 0
  for (;;) {
    const { entries, end, publishedSize } = await parts.storedLog.database.withoutOrganization((tx) =>
      listWatchedEntries(tx, { from, span: SPAN, types: watchedEventTypes }),
    )
    for (const [organizationId, own] of Map.groupBy(entries, (entry) => entry.organizationId)) {
      const found = await parts.database.withOrganization(organizationId, (tx) =>
        judgeEntries(parts, tx, organizationId, own, now),
      )
      for (const incident of found.opened) say(parts.logger, 'opened', organizationId, incident)
      for (const incident of found.escalated) say(parts.logger, 'escalated', organizationId, incident)
      opened += found.opened.length
    }
    if (end > from) await parts.database.withoutOrganization((tx) => advanceMonitorPosition(tx, end))
    from = end
    await progress(from - first, publishedSize - first)
    if (from >= publishedSize) return opened
  }
}

export async function monitorEventsInTime(parts: MonitorEventsParts, now: number, progress: Progress): Promise<void> {
  await monitorEvents(parts, now, progress)
}

function say(logger: Logger, what: string, organizationId: string, { id, rule, severity, devices }: Incident): void {
  const level = severity === 'critical' ? 'error' : 'warn'
  logger[level](`incident ${what}: ${rule}, ${severity}`, { organizationId, incidentId: id, count: devices })
}
