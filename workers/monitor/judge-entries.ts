import type { Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { insertIncidentNotices } from '../../database/repositories/incident-notices.ts'
import {
  addIncidentDevices,
  addIncidentEvents,
  type Incident,
  insertIncident,
  lockLiveIncident,
  updateIncident,
} from '../../database/repositories/incidents.ts'
import {
  deleteSignals,
  deleteSignalsBefore,
  insertSignals,
  type LoggedEntry,
  listSignals,
  lockOwnPosition,
  type Signal,
  setOwnPosition,
} from '../../database/repositories/monitor.ts'
import { findMonitorSettings } from '../../database/repositories/monitor-settings.ts'
import { deleteThreatScoresBefore, raiseThreatScore } from '../../database/repositories/threat-scores.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { findBurst } from '../../protocol/monitor/find-burst.ts'
import { LONGEST_WINDOW_SECONDS } from '../../protocol/monitor/rules.ts'
import {
  defaultMonitorSettings,
  type EffectiveRule,
  effectiveRules,
  type MonitorSettings,
  parseMonitorSettings,
} from '../../protocol/monitor/settings.ts'
import { THREAT_HALF_LIFE_MS } from '../../protocol/monitor/threat-score.ts'
import type { Happening, LoggedEvent, WriteEvent } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'
import { groupSignals, type SignalGroup } from './group-signals.ts'
import { toIncidentNotices } from './incident-notices.ts'
import { respond, type Suspects } from './respond.ts'

/** Of one event that tells of many: more makes a device no more suspicious. */
const MOST_COUNTED_FOR_A_SCORE = 10

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
  const position = await lockOwnPosition(tx, organizationId)
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
  const found: Found = { opened: [], escalated: [] }
  const suspects: Suspects[] = []
  for (const group of await groupSignals(tx, effectiveRules(settings), fresh)) {
    const ofGroup = await judgeGroup(judgement, group, found)
    if (ofGroup !== undefined) suspects.push(ofGroup)
  }
  await respond(judgement, suspects)
  await deleteSignalsBefore(tx, last.at - LONGEST_WINDOW_SECONDS * 1000)
  await deleteThreatScoresBefore(tx, last.at - 12 * THREAT_HALF_LIFE_MS)
  await setOwnPosition(tx, last.index + 1)
  if (parts.incidentWebhook !== undefined) {
    await insertIncidentNotices(tx, organizationId, toIncidentNotices(organizationId, found, now), now)
  }
  if (events.length > 0) await insertEvents(tx, events)
  return found
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

async function judgeGroup(judgement: Judgement, group: SignalGroup, found: Found): Promise<Suspects | undefined> {
  const { tx, organizationId } = judgement
  const { rule, subject, signals } = group
  await raiseScores(judgement, group)
  const name = { rule: rule.name, subject }
  const live = await lockLiveIncident(tx, name)
  if (live !== undefined) {
    const { incident, devices } = await addTo(judgement, live, rule, signals)
    if (incident.severity !== live.severity) found.escalated.push(incident)
    return { rule, incidentId: incident.id, devices }
  }
  await insertSignals(tx, organizationId, name, signals)
  const counted = await listSignals(tx, name)
  const start = findBurst(counted, rule)
  if (start === undefined) return undefined
  await deleteSignals(tx, name)
  const { incident, devices } = await open(judgement, group, counted.slice(start))
  found.opened.push(incident)
  return { rule, incidentId: incident.id, devices }
}

async function raiseScores({ tx, organizationId }: Judgement, { rule, signals }: SignalGroup): Promise<void> {
  if (rule.score === 0) return
  for (const [deviceId, own] of Map.groupBy(signals, (signal) => signal.deviceId)) {
    if (deviceId === undefined) continue
    const counted = own.reduce((sum, { count }) => sum + Math.min(count, MOST_COUNTED_FOR_A_SCORE), 0)
    const at = lastAtOf(own)
    await raiseThreatScore(tx, { organizationId, deviceId, by: rule.score * counted }, at)
  }
}

async function open(
  judgement: Judgement,
  { rule, subject }: SignalGroup,
  signals: readonly Signal[],
): Promise<Changed> {
  const { tx, organizationId, now } = judgement
  const id = newId()
  const devices = devicesOf(signals)
  const incident = {
    id,
    rule: rule.name,
    subject,
    severity: severityOf(rule, devices.length, rule.severity),
    status: 'OPEN' as const,
    openedAt: now,
    lastAt: lastAtOf(signals),
    count: countOf(signals),
    devices: devices.length,
    acknowledgedAt: undefined,
    acknowledgedBy: undefined,
    resolvedAt: undefined,
    resolvedBy: undefined,
  }
  await insertIncident(tx, organizationId, incident)
  await addIncidentEvents(tx, organizationId, id, signals)
  await addIncidentDevices(tx, organizationId, id, devices)
  judgement.tell({
    type: 'incident.opened',
    subject: { incidentId: id, ...(devices.length === 1 ? { deviceId: devices[0] as string } : {}) },
    data: { rule: rule.name, about: subject, severity: incident.severity, count: incident.count },
  })
  return { incident, devices }
}

interface Changed {
  incident: Incident
  /** Those that came new into it. */
  devices: string[]
}

async function addTo(
  judgement: Judgement,
  before: Incident,
  rule: EffectiveRule,
  signals: readonly Signal[],
): Promise<Changed> {
  const { tx, organizationId } = judgement
  await addIncidentEvents(tx, organizationId, before.id, signals)
  const devices = await addIncidentDevices(tx, organizationId, before.id, devicesOf(signals))
  const count = before.devices + devices.length
  const incident: Incident = {
    ...before,
    severity: severityOf(rule, count, before.severity),
    lastAt: Math.max(before.lastAt, lastAtOf(signals)),
    count: before.count + countOf(signals),
    devices: count,
  }
  await updateIncident(tx, incident)
  if (incident.severity !== before.severity) {
    judgement.tell({
      type: 'incident.escalated',
      subject: { incidentId: incident.id },
      data: { rule: rule.name, severity: incident.severity, devices: count },
    })
  }
  return { incident, devices }
}

function severityOf({ escalation }: EffectiveRule, devices: number, otherwise: Incident['severity']) {
  return escalation !== undefined && devices >= escalation.devices ? escalation.severity : otherwise
}

function devicesOf(signals: readonly Signal[]): string[] {
  return [...new Set(signals.flatMap(({ deviceId }) => deviceId ?? []))]
}

// Not Math.max of all: of a window that an organization made long there are more than a call has arguments.
const lastAtOf = (signals: readonly Signal[]) => signals.reduce((last, { at }) => Math.max(last, at), 0)
const countOf = (signals: readonly Signal[]) => signals.reduce((sum, { count }) => sum + count, 0)
