import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { monitorRule, monitorRuleNames } from '../../protocol/monitor/rules.ts'
import type { IncidentDevice, QflareIncidents, WholeIncident } from '../incidents.ts'
import { defineCommand } from './define-command.ts'
import { parseIdArgument } from './parse-values.ts'
import { formatTime, printResult, toList, toTable } from './print.ts'
import { openIncidentsOf, operatorNotes } from './settings.ts'

/** What ID is, for the error of a wrong one. */
export const incidentIdName = 'an incident, as qflare incidents list shows it'

/** Of its events and of its devices, without --all. */
const SHOWN = 20

export const incidentsShow = defineCommand({
  name: 'incidents show',
  positionals: ['ID'],
  summary: 'Shows an incident: its evidence, the devices in it, what the service did with each, and how to undo that.',
  flags: { all: { type: 'boolean', help: `every event and device of it, not the first ${SHOWN} of each` } },
  examples: ['qflare incidents show 0199b0a4-7e1c-7000-8000-0000000000aa'],
  notes: `Its evidence are events of the audit log: qflare audit proof fetches one, and verifies that it is in the log. With --json: {"incident": …, "devices": […], "more": …} as docs/api.md describes them; more is true when devices were left out.\n\n${operatorNotes}`,
  async run({ values, positionals: [typed] }) {
    const id = parseIdArgument(typed, incidentIdName)
    const incidents = await openIncidentsOf(values)
    const incident = await incidents.getIncident(id)
    const limit = values.all === true ? Number.POSITIVE_INFINITY : SHOWN
    const { devices, more } = await readDevices(incidents, incident, limit)
    await printResult(values.json, { incident, devices, more }, incidentText(incident, devices, limit))
    return undefined
  },
})

async function readDevices(incidents: QflareIncidents, { id, devices: count }: WholeIncident, limit: number) {
  const devices: IncidentDevice[] = []
  if (count === 0) return { devices, more: false }
  for await (const device of incidents.incidentDevices(id)) {
    if (devices.length === limit) return { devices, more: true }
    devices.push(device)
  }
  return { devices, more: false }
}

function incidentText(incident: WholeIncident, devices: readonly IncidentDevice[], limit: number): string {
  const now = Date.now()
  const { id, organizationId, rule, about, severity, status, openedAt, lastAt, count } = incident
  const facts = toList([
    ['incident', id],
    ...(organizationId === NIL_UUID ? [['of', 'the service itself'] as const] : []),
    ['rule', rule],
    ['meaning', meaningOf(rule)],
    ['about', about],
    ['severity', severity],
    ['status', status],
    ['opened', formatTime(openedAt, now)],
    ['last event', formatTime(lastAt, now)],
    ['counted', `${count}, in ${incident.events.length} events that are kept as evidence`],
    ...markText('acknowledged', incident.acknowledgedAt, incident.acknowledgedBy, now),
    ...markText('resolved', incident.resolvedAt, incident.resolvedBy, now),
  ])
  const parts = [facts, '', eventTable(incident, limit, now)]
  if (devices.length > 0) parts.push('', deviceTable(incident, devices, now))
  parts.push('', 'Next:', toList(nextCommands(incident, devices)))
  return parts.join('\n')
}

function meaningOf(name: string): string {
  const known = monitorRuleNames.find((one) => one === name)
  return known === undefined ? 'a rule that this command does not know' : monitorRule(known).meaning
}

function markText(what: string, at: number | null, by: string | null, now: number): [string, string][] {
  return at === null ? [] : [[what, `${formatTime(at, now)}, by API token ${by ?? 'unknown'}`]]
}

function eventTable({ events }: WholeIncident, limit: number, now: number): string {
  const shown = events.slice(0, limit)
  const rows = shown.map(({ eventId, index, at }) => [eventId, String(index), formatTime(at, now)])
  return withRest(toTable(['EVENT', 'INDEX', 'TIME'], rows), events.length - shown.length)
}

function deviceTable({ devices: count }: WholeIncident, devices: readonly IncidentDevice[], now: number): string {
  const rows = devices.map((device) => [
    device.deviceId,
    device.status ?? '-',
    responseText(device, now),
    device.name ?? '-',
  ])
  return withRest(toTable(['DEVICE', 'STATUS', 'RESPONSE', 'NAME'], rows), count - devices.length)
}

function responseText({ response, respondedAt, withheld }: IncidentDevice, now: number): string {
  if (response !== null) return respondedAt === null ? response : `${response}, ${formatTime(respondedAt, now)}`
  return withheld === null ? 'none' : `withheld: ${withheld}`
}

function withRest(table: string, rest: number): string {
  return rest > 0 ? `${table}\nThere are ${rest.toLocaleString('en')} more: --all shows them.` : table
}

/** A command, and what it is for. */
function nextCommands({ id, status, events }: WholeIncident, devices: readonly IncidentDevice[]): [string, string][] {
  const of = (wanted: (device: IncidentDevice) => boolean) => devices.filter(wanted).map(({ deviceId }) => deviceId)
  return [
    ...events
      .slice(0, 1)
      .map(({ eventId }): [string, string] => [
        `qflare audit proof ${eventId}`,
        'as an auditor: verify that the first event is in the log; the same with each of the others',
      ]),
    ...of((device) => device.response === 'suspend' && device.status === 'SUSPENDED').map(
      (deviceId): [string, string] => [`qflare device resume ${deviceId}`, 'undo the suspension'],
    ),
    ...of(({ response }) => response === 'slow' || response === 'require_attestation').map(
      (deviceId): [string, string] => [`qflare device lift-restrictions ${deviceId}`, 'undo it, where it is not over'],
    ),
    ...of((device) => device.status === 'QUARANTINED').map((deviceId): [string, string] => [
      `qflare device clear-quarantine ${deviceId}`,
      'let it back when you have found why its evidence failed',
    ]),
    ...(status === 'OPEN'
      ? [[`qflare incidents acknowledge ${id}`, 'say that you look at it'] as [string, string]]
      : []),
    ...(status === 'RESOLVED' ? [] : [[`qflare incidents resolve ${id}`, 'say that it is over'] as [string, string]]),
  ]
}
