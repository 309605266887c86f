import { newId } from '../../runtime/ids.ts'
import { firstOrganization } from './audit.ts'
import type { TestService } from './service.ts'

/** As the monitor stores one; of the organization of the service's admin token unless another is named. Its id. */
export async function addIncident(
  service: TestService,
  incident: {
    organizationId?: string
    rule?: string
    subject?: string
    severity?: string
    status?: string
    devices?: readonly string[]
  } = {},
): Promise<string> {
  const { sql } = service.database
  const id = newId()
  const organizationId = incident.organizationId ?? (await firstOrganization(service))
  const { rule = 'access-refused', severity = 'warning', status = 'OPEN', devices = [] } = incident
  const at = new Date(service.time.now)
  await sql.query(
    `insert into incident (organization_id, id, rule, subject, severity, status, opened_at, last_at, count, devices, resolved_at)
      values ($1, $2, $3, $4, $5, $6, $7, $7, 5, $8, case when $6 = 'RESOLVED' then $7::timestamptz end)`,
    [organizationId, id, rule, incident.subject ?? `device ${newId()}`, severity, status, at, devices.length],
  )
  await sql.query('insert into incident_event values ($1, $2, 0, $3, $4)', [organizationId, id, newId(), at])
  for (const deviceId of devices) {
    await sql.query('insert into incident_device (organization_id, incident_id, device_id) values ($1, $2, $3)', [
      organizationId,
      id,
      deviceId,
    ])
  }
  return id
}

/** Settings of the monitor that are not those of before. */
export function monitorWish(): {
  dryRun: boolean
  responsesPerHour: number
  slowMinutes: number
  rules: Record<string, object>
} {
  const threshold = 1 + Math.floor(Math.random() * 100_000)
  return {
    dryRun: true,
    responsesPerHour: 3,
    slowMinutes: 7,
    rules: { 'access-refused': { threshold, response: 'suspend' } },
  }
}
