// Running it twice is harmless, halfway and at once too: what an organization's entries led to is stored with how far they were read,
// behind the lock of that position.

import type { Database } from '../../database/open.ts'
import type { Incident } from '../../database/repositories/incidents.ts'
import {
  advanceMonitorPosition,
  type LoggedEntry,
  listWatchedEntries,
  readMonitorPosition,
} from '../../database/repositories/monitor.ts'
import { watchedEventTypes } from '../../protocol/monitor/rules.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Progress } from '../job.ts'
import { type JudgeEntriesParts, judgeEntries } from '../monitor/judge-entries.ts'

/** Of the log, in one look: so much that of many organizations each has enough in it to be worth a transaction. */
const SPAN = 30_000
/** Organizations whose entries are judged at once. */
const AT_ONCE = 4

export interface MonitorEventsParts extends JudgeEntriesParts {
  database: Database
  /** As qflare_sequencer, who reads the log of all organizations. */
  storedLog: { database: Database }
  /** How much of the log is looked at in one transaction; default 30,000 entries. */
  span?: number
}

/**
 * The security monitor: reads what is new in the log, and opens incidents by its rules. How many it opened. An organization whose
 * entries cannot be judged keeps nobody else's from it: they are read again, from the first that was not judged on, and this throws
 * when all others are done.
 */
export async function monitorEvents(
  parts: MonitorEventsParts,
  now: number,
  progress: Progress = async () => {},
): Promise<number> {
  const { span = SPAN } = parts
  const first = await parts.database.withoutOrganization(readMonitorPosition)
  const failures = new Map<string, unknown>()
  let from = first
  let opened = 0
  for (;;) {
    const { entries, end, publishedSize } = await parts.storedLog.database.withoutOrganization((tx) =>
      listWatchedEntries(tx, { from, span, types: watchedEventTypes }),
    )
    const waiting = Map.groupBy(entries, (entry) => entry.organizationId).entries()
    const lane = async () => {
      for (const [organizationId, own] of waiting) {
        // What comes later would be judged as if that had been.
        if (failures.has(organizationId)) continue
        try {
          const found = await judge(parts, organizationId, own, now)
          opened += found
        } catch (error) {
          failures.set(organizationId, error)
          parts.logger.error('entries of the log could not be judged', { organizationId }, error)
        }
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, lane))
    if (failures.size === 0) await parts.database.withoutOrganization((tx) => advanceMonitorPosition(tx, end))
    from = Math.max(from, end)
    await progress(from - first, publishedSize - first)
    if (from >= publishedSize) break
  }
  if (failures.size > 0) throw new AggregateError([...failures.values()], 'Entries of the log could not be judged.')
  return opened
}

async function judge(
  parts: MonitorEventsParts,
  organizationId: string,
  entries: readonly LoggedEntry[],
  now: number,
): Promise<number> {
  const found = await parts.database.withOrganization(
    organizationId,
    (tx) => judgeEntries(parts, tx, organizationId, entries, now),
    'prepared',
  )
  for (const incident of found.opened) say(parts.logger, 'opened', organizationId, incident)
  for (const incident of found.escalated) say(parts.logger, 'escalated', organizationId, incident)
  return found.opened.length
}

export async function monitorEventsInTime(parts: MonitorEventsParts, now: number, progress: Progress): Promise<void> {
  await monitorEvents(parts, now, progress)
}

function say(logger: Logger, what: string, organizationId: string, { id, rule, severity, devices }: Incident): void {
  const level = severity === 'critical' ? 'error' : 'warn'
  logger[level](`incident ${what}: ${rule}, ${severity}`, { organizationId, incidentId: id, count: devices })
}
