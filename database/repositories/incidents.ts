import { type Selectable, sql } from 'kysely'
import { type IncidentStatus, MAX_INCIDENT_EVENTS } from '../../protocol/monitor/incident.ts'
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

/** The one of this rule and subject that is not resolved, held until the commit. */
export async function lockLiveIncident(
  tx: Tx,
  { rule, subject }: Pick<Incident, 'rule' | 'subject'>,
): Promise<Incident | undefined> {
  const row = await tx
    .selectFrom('incident')
    .selectAll()
    .where('rule', '=', rule)
    .where('subject', '=', subject)
    .where('status', '<>', sql.lit<IncidentStatus>('RESOLVED'))
    .forNoKeyUpdate()
    .executeTakeFirst()
  return row && toIncident(row)
}

export async function insertIncident(
  tx: Tx,
  organizationId: string,
  incident: Pick<Incident, 'id' | 'rule' | 'subject' | 'severity' | 'openedAt' | 'lastAt' | 'count' | 'devices'>,
): Promise<void> {
  await tx
    .insertInto('incident')
    .values({
      organization_id: organizationId,
      id: incident.id,
      rule: incident.rule,
      subject: incident.subject,
      severity: incident.severity,
      opened_at: new Date(incident.openedAt),
      last_at: new Date(incident.lastAt),
      count: incident.count,
      devices: incident.devices,
    })
    .execute()
}

/** The row is held by the caller. */
export async function updateIncident(
  tx: Tx,
  { id, severity, lastAt, count, devices }: Pick<Incident, 'id' | 'severity' | 'lastAt' | 'count' | 'devices'>,
): Promise<void> {
  await tx
    .updateTable('incident')
    .set({ severity, last_at: new Date(lastAt), count, devices })
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
}

/** Evidence, as far as there is room; the incident's row is held by the caller. */
export async function addIncidentEvents(
  tx: Tx,
  organizationId: string,
  incidentId: string,
  events: readonly { index: number; eventId: string; at: number }[],
): Promise<void> {
  const { count } = await tx
    .selectFrom('incident_event')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('incident_id', '=', incidentId)
    .executeTakeFirstOrThrow()
  const added = events.slice(0, Math.max(0, MAX_INCIDENT_EVENTS - count))
  if (added.length === 0) return
  await tx
    .insertInto('incident_event')
    .values(
      added.map(({ index, eventId, at }) => ({
        organization_id: organizationId,
        incident_id: incidentId,
        index,
        event_id: eventId,
        at: new Date(at),
      })),
    )
    .execute()
}

/** Those that were not in it yet. Of a fleet that fails at once there may be more than a statement has parameters. */
export async function addIncidentDevices(
  tx: Tx,
  organizationId: string,
  incidentId: string,
  deviceIds: readonly string[],
): Promise<string[]> {
  if (deviceIds.length === 0) return []
  const { rows } = await sql<{
    device_id: string
  }>`insert into incident_device (organization_id, incident_id, device_id)
    select ${organizationId}::uuid, ${incidentId}::uuid, * from unnest(${deviceIds}::uuid[])
    on conflict do nothing returning device_id`.execute(tx)
  return rows.map(({ device_id }) => device_id)
}

/** Devices of the organization that were responded to since then. */
export async function countResponses(tx: Tx, since: number): Promise<number> {
  const { count } = await tx
    .selectFrom('incident_device')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('responded_at', '>', sql<number>`${new Date(since)}`)
    .executeTakeFirstOrThrow()
  return count
}

export type ResponseMark =
  | { response: Exclude<ResponseName, 'none'>; respondedAt: number }
  | { withheld: 'dry_run' | 'limit' }

export async function markIncidentDevice(
  tx: Tx,
  { incidentId, deviceId }: { incidentId: string; deviceId: string },
  mark: ResponseMark,
): Promise<void> {
  await tx
    .updateTable('incident_device')
    .set(
      'response' in mark
        ? { response: mark.response, responded_at: new Date(mark.respondedAt) }
        : { withheld: mark.withheld },
    )
    .where('incident_id', '=', incidentId)
    .where('device_id', '=', deviceId)
    .executeTakeFirstOrThrow()
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
