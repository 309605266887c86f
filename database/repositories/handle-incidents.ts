import { type SqlBool, sql } from 'kysely'
import type { IncidentStatus } from '../../protocol/monitor/incident.ts'
import type { IncidentSeverity, ResponseName } from '../../protocol/monitor/rules.ts'
import type { Tx } from '../open.ts'
import { type Incident, toIncident } from './incidents.ts'

/** Incidents for people: what they look for, and what they say of one. */

/** What is given must all hold. */
export interface IncidentFilter {
  status: IncidentStatus | undefined
  severity: IncidentSeverity | undefined
  rule: string | undefined
  /** That is in it, among others. */
  deviceId: string | undefined
}

/** Newest first, below `beforeId` where it is given. */
export async function listIncidents(
  tx: Tx,
  page: IncidentFilter & { limit: number; beforeId: string | undefined },
): Promise<Incident[]> {
  const { status, severity, rule, deviceId } = page
  let query = tx.selectFrom('incident').selectAll()
  if (page.beforeId !== undefined) query = query.where('id', '<', page.beforeId)
  if (status !== undefined) query = query.where('status', '=', status)
  if (severity !== undefined) query = query.where('severity', '=', severity)
  if (rule !== undefined) query = query.where('rule', '=', rule)
  if (deviceId !== undefined) {
    query = query.where(
      sql<SqlBool>`id in (select incident_id from incident_device where organization_id = current_organization()
        and device_id = ${deviceId})`,
    )
  }
  return (await query.orderBy('id', 'desc').limit(page.limit).execute()).map(toIncident)
}

export async function findIncident(tx: Tx, id: string): Promise<Incident | undefined> {
  const row = await tx.selectFrom('incident').selectAll().where('id', '=', id).executeTakeFirst()
  return row && toIncident(row)
}

/** An entry of the log that is evidence of an incident. */
export interface IncidentEvent {
  index: number
  eventId: string
  at: number
}

/** In the order of the log. */
export async function listIncidentEvents(tx: Tx, incidentId: string): Promise<IncidentEvent[]> {
  const rows = await tx
    .selectFrom('incident_event')
    .select(['index', 'event_id', 'at'])
    .where('incident_id', '=', incidentId)
    .orderBy('index')
    .execute()
  return rows.map(({ index, event_id, at }) => ({ index, eventId: event_id, at }))
}

/** A device in an incident, and what the service did with it, or did not do. */
export interface IncidentDevice {
  deviceId: string
  /** As the device is now. */
  name: string | undefined
  status: string | undefined
  response: Exclude<ResponseName, 'none'> | undefined
  respondedAt: number | undefined
  withheld: 'dry_run' | 'limit' | undefined
}

/** By their ids, above `afterId` where it is given. */
export async function listIncidentDevices(
  tx: Tx,
  incidentId: string,
  page: { limit: number; afterId: string | undefined },
): Promise<IncidentDevice[]> {
  let query = tx
    .selectFrom('incident_device as d')
    .leftJoin('principal as p', (join) =>
      join.onRef('p.organization_id', '=', 'd.organization_id').onRef('p.id', '=', 'd.device_id'),
    )
    .select(['d.device_id', 'd.response', 'd.responded_at', 'd.withheld', 'p.name', 'p.status'])
    .where('d.incident_id', '=', incidentId)
  if (page.afterId !== undefined) query = query.where('d.device_id', '>', page.afterId)
  const rows = await query.orderBy('d.device_id').limit(page.limit).execute()
  return rows.map((row) => ({
    deviceId: row.device_id,
    name: row.name ?? undefined,
    status: row.status ?? undefined,
    response: row.response ?? undefined,
    respondedAt: row.responded_at ?? undefined,
    withheld: row.withheld ?? undefined,
  }))
}

/** Held until the commit, also from the monitor. */
export async function lockIncident(tx: Tx, id: string): Promise<Incident | undefined> {
  const row = await tx.selectFrom('incident').selectAll().where('id', '=', id).forNoKeyUpdate().executeTakeFirst()
  return row && toIncident(row)
}

/** By an API token, at that time; the row is held by the caller. */
export async function markIncident(
  tx: Tx,
  id: string,
  { status, by, at }: { status: Exclude<IncidentStatus, 'OPEN'>; by: string; at: number },
): Promise<void> {
  await tx
    .updateTable('incident')
    .set(
      status === 'RESOLVED'
        ? { status, resolved_at: new Date(at), resolved_by: by }
        : { status, acknowledged_at: new Date(at), acknowledged_by: by },
    )
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

/** OPEN incidents of all organizations, and of the service itself, by severity. */
export async function countOpenIncidents(tx: Tx): Promise<{ severity: IncidentSeverity; count: number }[]> {
  const { rows } = await sql<{ severity: IncidentSeverity; count: number }>`
    select severity, incidents as count from count_open_incidents()`.execute(tx)
  return rows
}
