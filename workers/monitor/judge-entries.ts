import type { Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { insertIncidentNotices } from '../../database/repositories/incident-notices.ts'
import type { Incident } from '../../database/repositories/incidents.ts'
import {
  forgetCounted,
  type LoggedEntry,
  lockOwnPosition,
  setOwnPosition,
} from '../../database/repositories/monitor.ts'
import { findMonitorSettings } from '../../database/repositories/monitor-settings.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { LONGEST_WINDOW_SECONDS } from '../../protocol/monitor/rules.ts'
import {
  defaultMonitorSettings,
  effectiveRules,
  type MonitorSettings,
  parseMonitorSettings,
} from '../../protocol/monitor/settings.ts'
import { readWatchedEvent } from '../../protocol/monitor/subjects.ts'
import { THREAT_HALF_LIFE_MS } from '../../protocol/monitor/threat-score.ts'
import type { Happening, LoggedEvent, WriteEvent } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'
import { findMatters } from './find-matters.ts'
import { groupSignals, type ReadEntry } from './group-signals.ts'
import { toIncidentNotices } from './incident-notices.ts'
import { keepIncidents } from './keep-incidents.ts'
import { raiseScores } from './raise-scores.ts'
import { respond } from './respond.ts'

export interface JudgeEntriesParts {
  writeEvent: WriteEvent
  logger: Logger
  /** Undefined: nobody but the log is told of incidents. */
  incidentWebhook: object | undefined
}

/** What one transaction of the monitor works with. */
export interface Judgement {
  tx: Tx
  organizationId: string
  settings: MonitorSettings
  now: number
  /** Stored as its last statement. */
  tell(happening: Happening): void
}

/** What was found. */
export interface Found {
  opened: Incident[]
  escalated: Incident[]
}

/**
 * Applies the rules of an organization to entries of its log, in their order, in one transaction: entries that were judged before are
 * left out, also when they were read twice, or by two at once.
 */
export async function judgeEntries(
  parts: JudgeEntriesParts,
  tx: Tx,
  organizationId: string,
  entries: readonly LoggedEntry[],
  now: number,
): Promise<Found> {
  const position = await lockOwnPosition(tx)
  const fresh = entries.filter(({ index }) => index >= position)
  const last = fresh.at(-1)
  if (last === undefined) return { opened: [], escalated: [] }
  const settings = await readSettings(parts, tx, organizationId)
  const { writeEvent } = parts
  const events: LoggedEvent[] = []
  const shared = { organizationId, actor: { type: 'service', id: NIL_UUID }, requestId: newId() } as const
  const judgement: Judgement = {
    tx,
    organizationId,
    settings,
    now,
    tell: (happening) => void events.push(writeEvent({ ...shared, ...happening }, now)),
  }
  const groups = await groupSignals(tx, effectiveRules(settings), readEntries(parts, organizationId, fresh))
  await raiseScores(tx, groups)
  const { found, suspects } = await keepIncidents(judgement, await findMatters(tx, groups))
  await respond(judgement, suspects)
  await forgetCounted(tx, {
    watchedBefore: last.at - LONGEST_WINDOW_SECONDS * 1000,
    scoredBefore: last.at - 12 * THREAT_HALF_LIFE_MS,
  })
  await setOwnPosition(tx, last.index + 1)
  if (parts.incidentWebhook !== undefined) {
    await insertIncidentNotices(tx, organizationId, toIncidentNotices(organizationId, found, now), now)
  }
  if (events.length > 0) await insertEvents(tx, events)
  return found
}

/** What is not of the form of an event stops nothing: it is left out, and whoever runs the service is told. */
function readEntries({ logger }: { logger: Logger }, organizationId: string, entries: readonly LoggedEntry[]) {
  const read = entries.flatMap((entry): ReadEntry[] => {
    const event = readWatchedEvent(entry.entry)
    return event === undefined ? [] : [{ entry, event }]
  })
  const count = entries.length - read.length
  if (count > 0) logger.error('entries of the log are no events as this release knows them', { organizationId, count })
  return read
}

/** What cannot be read is as if it were not there: that is an alarm for everything, and a response to nothing. */
async function readSettings({ logger }: { logger: Logger }, tx: Tx, organizationId: string): Promise<MonitorSettings> {
  const stored = await findMonitorSettings(tx)
  if (stored === undefined) return defaultMonitorSettings
  const settings = parseMonitorSettings(stored.body)
  if (settings !== undefined) return settings
  logger.error('the settings of the security monitor are not valid; those of the service hold', { organizationId })
  return defaultMonitorSettings
}
