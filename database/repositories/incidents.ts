import { type Selectable, type SqlBool, sql } from 'kysely'
import { type IncidentStatus, MAX_INCIDENT_EVENTS, OTHERS } from '../../protocol/monitor/incident.ts'
import type { IncidentSeverity, ResponseName } from '../../protocol/monitor/rules.ts'
import type { IncidentTables } from '../incident-tables.ts'
import type { Tx } from '../open.ts'

export interface Incident {
  id: string
  rule: string
  /** What it is about, with its rule its name. */
  subject: string
  severity: IncidentSeverity
  status: IncidentStatus
  openedAt: number
  /** Of the newest event. */
  lastAt: number
  /** How much its rule has counted. */
  count: number
  devices: number
  acknowledgedAt: number | undefined
  /** The API token that did so first. */
  acknowledgedBy: string | undefined
  resolvedAt: number | undefined
  resolvedBy: string | undefined
}

/** Those of these rules and subjects that are not resolved, held until the commit. */
export async function lockLiveIncidents(
  tx: Tx,
  names: readonly Pick<Incident, 'rule' | 'subject'>[],
): Promise<Incident[]> {
  const rows = await tx
    .selectFrom('incident')
    .selectAll()
    .where(
      sql<SqlBool>`(rule, subject) in (select * from unnest(${names.map(({ rule }) => rule)}::text[],
        ${names.map(({ subject }) => subject)}::text[]))`,
    )
    .where('status', '<>', sql.lit<IncidentStatus>('RESOLVED'))
    .orderBy('id')
    .forNoKeyUpdate()
    .execute()
  return rows.map(toIncident)
}

/** By its name, how many subjects of a rule have one of their own that is not resolved. */
export async function countLiveIncidents(tx: Tx, rules: readonly string[]): Promise<Map<string, number>> {
  const rows = await tx
    .selectFrom('incident')
    .select((eb) => ['rule', eb.fn.countAll<number>().as('count')])
    .where('rule', '=', sql<string>`any (${rules}::text[])`)
    .where('subject', '<>', sql.lit(OTHERS))
    .where('status', '<>', sql.lit<IncidentStatus>('RESOLVED'))
    .groupBy('rule')
    .execute()
  return new Map(rows.map(({ rule, count }) => [rule, count]))
}

/** In one statement. */
export async function insertIncidents(tx: Tx, incidents: readonly Incident[]): Promise<void> {
  const all = <K extends keyof Incident>(member: K) => incidents.map((incident) => incident[member])
  const times = (member: 'openedAt' | 'lastAt') => incidents.map((incident) => new Date(incident[member]))
  await sql`insert into incident (organization_id, id, rule, subject, severity, opened_at, last_at, count, devices)
    select current_organization(), * from unnest(${all('id')}::uuid[], ${all('rule')}::text[], ${all('subject')}::text[],
      ${all('severity')}::text[], ${times('openedAt')}::timestamptz[], ${times('lastAt')}::timestamptz[],
      ${all('count')}::bigint[], ${all('devices')}::integer[])`.execute(tx)
}

/** Their rows are held by the caller. In one statement. */
export async function updateIncidents(
  tx: Tx,
  incidents: readonly Pick<Incident, 'id' | 'severity' | 'lastAt' | 'count' | 'devices'>[],
): Promise<void> {
  await sql`update incident i set severity = u.severity, last_at = u.last_at, count = u.count, devices = u.devices
    from unnest(${incidents.map(({ id }) => id)}::uuid[], ${incidents.map(({ severity }) => severity)}::text[],
      ${incidents.map(({ lastAt }) => new Date(lastAt))}::timestamptz[], ${incidents.map(({ count }) => count)}::bigint[],
      ${incidents.map(({ devices }) => devices)}::integer[]) as u(id, severity, last_at, count, devices)
    where i.organization_id = current_organization() and i.id = u.id`.execute(tx)
}

/** Evidence, as far as there is room in each; the rows of the incidents are held by the caller. */
export async function addIncidentEvents(
  tx: Tx,
  additions: readonly { incidentId: string; events: readonly { index: number; eventId: string; at: number }[] }[],
): Promise<void> {
  const counted = await tx
    .selectFrom('incident_event')
    .select((eb) => ['incident_id', eb.fn.countAll<number>().as('count')])
    .where('incident_id', '=', sql<string>`any (${additions.map(({ incidentId }) => incidentId)}::uuid[])`)
    .groupBy('incident_id')
    .execute()
  const counts = new Map(counted.map(({ incident_id, count }) => [incident_id, count]))
  const rows = additions.flatMap(({ incidentId, events }) => {
    const room = Math.max(0, MAX_INCIDENT_EVENTS - (counts.get(incidentId) ?? 0))
    return events.slice(0, room).map((event) => ({ incidentId, ...event }))
  })
  if (rows.length === 0) return
  await sql`insert into incident_event (organization_id, incident_id, index, event_id, at)
    select current_organization(), * from unnest(${rows.map(({ incidentId }) => incidentId)}::uuid[],
      ${rows.map(({ index }) => index)}::bigint[], ${rows.map(({ eventId }) => eventId)}::uuid[],
      ${rows.map(({ at }) => new Date(at))}::timestamptz[])`.execute(tx)
}

/** A device in an incident. */
export interface IncidentDeviceName {
  incidentId: string
  deviceId: string
}

/** Those that were not in theirs yet. */
export async function addIncidentDevices(
  tx: Tx,
  devices: readonly IncidentDeviceName[],
): Promise<IncidentDeviceName[]> {
  if (devices.length === 0) return []
  const { rows } = await sql<{ incident_id: string; device_id: string }>`
    insert into incident_device (organization_id, incident_id, device_id)
      select current_organization(), * from unnest(${devices.map(({ incidentId }) => incidentId)}::uuid[],
        ${devices.map(({ deviceId }) => deviceId)}::uuid[])
      on conflict do nothing returning incident_id, device_id`.execute(tx)
  return rows.map(({ incident_id: incidentId, device_id: deviceId }) => ({ incidentId, deviceId }))
}

/** Devices of the organization that were responded to since then. */
export async function listRespondedDevices(tx: Tx, since: number): Promise<string[]> {
  const rows = await tx
    .selectFrom('incident_device')
    .select('device_id')
    .distinct()
    .where('responded_at', '>', sql<number>`${new Date(since)}`)
    .execute()
  return rows.map(({ device_id }) => device_id)
}

export async function markResponded(
  tx: Tx,
  { incidentId, deviceId }: IncidentDeviceName,
  response: Exclude<ResponseName, 'none'>,
  respondedAt: number,
): Promise<void> {
  await tx
    .updateTable('incident_device')
    .set({ response, responded_at: new Date(respondedAt) })
    .where('incident_id', '=', incidentId)
    .where('device_id', '=', deviceId)
    .executeTakeFirstOrThrow()
}

export async function markWithheld(
  tx: Tx,
  devices: readonly IncidentDeviceName[],
  withheld: 'dry_run' | 'limit',
): Promise<void> {
  if (devices.length === 0) return
  await sql`update incident_device d set withheld = ${withheld} from unnest(${devices.map(({ incidentId }) => incidentId)}::uuid[],
      ${devices.map(({ deviceId }) => deviceId)}::uuid[]) as w(incident_id, device_id)
    where d.organization_id = current_organization() and d.incident_id = w.incident_id and d.device_id = w.device_id`.execute(
    tx,
  )
}

export function toIncident(row: Selectable<IncidentTables['incident']>): Incident {
  return {
    id: row.id,
    rule: row.rule,
    subject: row.subject,
    severity: row.severity,
    status: row.status,
    openedAt: row.opened_at,
    lastAt: row.last_at,
    count: row.count,
    devices: row.devices,
    acknowledgedAt: row.acknowledged_at ?? undefined,
    acknowledgedBy: row.acknowledged_by ?? undefined,
    resolvedAt: row.resolved_at ?? undefined,
    resolvedBy: row.resolved_by ?? undefined,
  }
}
