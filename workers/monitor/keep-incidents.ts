import {
  addIncidentDevices,
  addIncidentEvents,
  type Incident,
  insertIncidents,
  updateIncidents,
} from '../../database/repositories/incidents.ts'
import type { Signal } from '../../database/repositories/monitor.ts'
import type { EffectiveRule } from '../../protocol/monitor/settings.ts'
import { newId } from '../../runtime/ids.ts'
import type { Matter } from './find-matters.ts'
import type { Found, Judgement } from './judge-entries.ts'
import type { Suspects } from './respond.ts'

interface Kept {
  rule: EffectiveRule
  /** As it was. */
  live: Incident | undefined
  incident: Incident
  signals: readonly Signal[]
  /** Those that came new into it. */
  devices: string[]
}

/** Opens an incident for each matter that has none, and adds to those that are there. Who came new into each. */
export async function keepIncidents(
  judgement: Judgement,
  matters: readonly Matter[],
): Promise<{ found: Found; suspects: Suspects[] }> {
  const { tx } = judgement
  const found: Found = { opened: [], escalated: [] }
  if (matters.length === 0) return { found, suspects: [] }
  const kept = matters.map((matter) => begin(judgement, matter))
  const opened = kept.filter(({ live }) => live === undefined)
  if (opened.length > 0) {
    await insertIncidents(
      tx,
      opened.map(({ incident }) => incident),
    )
  }
  await addIncidentEvents(
    tx,
    kept.map(({ incident, signals }) => ({ incidentId: incident.id, events: signals })),
  )
  await addDevices(judgement, kept)
  const changed = kept.filter(({ live }) => live !== undefined)
  if (changed.length > 0) {
    await updateIncidents(
      tx,
      changed.map(({ incident }) => incident),
    )
  }
  for (const each of kept) tell(judgement, each, found)
  return {
    found,
    suspects: kept.map(({ rule, incident, devices }) => ({ rule, incidentId: incident.id, devices })),
  }
}

/** With what was counted, and without the devices that are new to one that is there. */
function begin({ now }: Judgement, { rule, subject, signals, live }: Matter): Kept {
  // Not Math.max of all: of a window that an organization made long there are more than a call has arguments.
  const lastAt = signals.reduce((last, { at }) => Math.max(last, at), 0)
  const count = signals.reduce((sum, signal) => sum + signal.count, 0)
  if (live !== undefined) {
    const incident = { ...live, lastAt: Math.max(live.lastAt, lastAt), count: live.count + count }
    return { rule, live, incident, signals, devices: [] }
  }
  const devices = devicesOf(signals)
  const severity = severityOf(rule, devices.length, rule.severity)
  const named = { id: newId(), rule: rule.name, subject, severity, status: 'OPEN' as const }
  const incident = { ...named, ...unmarked, openedAt: now, lastAt, count, devices: devices.length }
  return { rule, live, incident, signals, devices: [] }
}

async function addDevices({ tx }: Judgement, kept: readonly Kept[]): Promise<void> {
  const named = kept.flatMap(({ incident, signals }) =>
    devicesOf(signals).map((deviceId) => ({ incidentId: incident.id, deviceId })),
  )
  const added = Map.groupBy(await addIncidentDevices(tx, named), ({ incidentId }) => incidentId)
  for (const each of kept) {
    each.devices = (added.get(each.incident.id) ?? []).map(({ deviceId }) => deviceId)
    if (each.live === undefined) continue
    const devices = each.live.devices + each.devices.length
    each.incident = { ...each.incident, devices, severity: severityOf(each.rule, devices, each.live.severity) }
  }
}

function tell(judgement: Judgement, { rule, live, incident, devices }: Kept, found: Found): void {
  const { id: incidentId, severity, subject: about, count } = incident
  if (live === undefined) {
    found.opened.push(incident)
    const [deviceId] = devices
    judgement.tell({
      type: 'incident.opened',
      subject: { incidentId, ...(deviceId !== undefined && devices.length === 1 ? { deviceId } : {}) },
      data: { rule: rule.name, about, severity, count },
    })
  } else if (severity !== live.severity) {
    found.escalated.push(incident)
    const data = { rule: rule.name, severity, devices: incident.devices }
    judgement.tell({ type: 'incident.escalated', subject: { incidentId }, data })
  }
}

const unmarked = {
  acknowledgedAt: undefined,
  acknowledgedBy: undefined,
  resolvedAt: undefined,
  resolvedBy: undefined,
}

function severityOf({ escalation }: EffectiveRule, devices: number, otherwise: Incident['severity']) {
  return escalation !== undefined && devices >= escalation.devices ? escalation.severity : otherwise
}

function devicesOf(signals: readonly Signal[]): string[] {
  return [...new Set(signals.flatMap(({ deviceId }) => deviceId ?? []))]
}
