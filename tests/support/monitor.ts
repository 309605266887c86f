import { createEventWriter, type EventDraft } from '../../runtime/audit-events.ts'
import { createLogger } from '../../runtime/logger.ts'
import { type MonitorEventsParts, monitorEvents } from '../../workers/jobs/monitor-events.ts'
import { addEvents } from './audit.ts'
import { crypto, type TestService } from './service.ts'

export function monitorPartsOf(service: TestService): MonitorEventsParts {
  return {
    database: service.database.open('qflare_worker', 2),
    storedLog: { database: service.database.open('qflare_sequencer', 1) },
    writeEvent: createEventWriter(crypto),
    logger: createLogger('silent'),
  }
}

/** Logs these, and has the monitor read what is new. */
export async function watch(
  service: TestService,
  parts: MonitorEventsParts,
  events: { draft: EventDraft; at: number }[] = [],
): Promise<number> {
  if (events.length > 0) await addEvents(service, events)
  await service.log.sequence()
  return monitorEvents(parts, service.time.now)
}

export interface StoredIncident {
  id: string
  organization_id: string
  rule: string
  subject: string
  severity: string
  status: string
  count: number
  devices: number
  events: number
}

/** The newest last. */
export async function storedIncidents(service: TestService): Promise<StoredIncident[]> {
  const { rows } = await service.database.sql.query(
    `select i.*, i.count::int, (select count(*)::int from incident_event e where e.incident_id = i.id) as events
      from incident i order by i.opened_at, i.id`,
  )
  return rows
}
