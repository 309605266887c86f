import { afterAll, beforeAll, beforeEach } from 'vitest'
import { createEventWriter, type EventDraft } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import { createLogger } from '../../runtime/logger.ts'
import { type MonitorEventsParts, monitorEvents } from '../../workers/jobs/monitor-events.ts'
import { addEvents, firstOrganization } from './audit.ts'
import { crypto, startTestService, type TestService } from './service.ts'

/** For the tests of a file one service whose log the monitor reads, and for each of them no incident and nothing counted. */
export function useMonitor(start: () => Promise<TestService> = startTestService) {
  const suite = {
    service: {} as TestService,
    parts: {} as MonitorEventsParts,
    /** Of the service's admin token. */
    organizationId: '',

    sql: (text: string, values: unknown[] = []) => suite.service.database.sql.query(text, values),
    watch: (events: LoggedDraft[] = []) => watch(suite.service, suite.parts, events),
    series: (draft: () => EventDraft, count: number, secondsApart?: number) =>
      series(suite.service, draft, count, secondsApart),
    /** `watch` of a `series`. */
    see: (draft: () => EventDraft, count: number, secondsApart?: number) =>
      suite.watch(suite.series(draft, count, secondsApart)),
    incidents: () => storedIncidents(suite.service),
    outbox: (type: string) => outboxEvents(suite.service, type),
    configure: (settings: object) => setMonitorSettings(suite.service, suite.organizationId, settings),
  }

  beforeAll(async () => {
    suite.service = await start()
    suite.parts = monitorPartsOf(suite.service)
    suite.organizationId = await firstOrganization(suite.service)
  })
  afterAll(() => suite.service.close())
  beforeEach(async () => {
    await suite.watch()
    await forgetIncidents(suite.service)
  })
  return suite
}

/** An event, and when it is logged. */
interface LoggedDraft {
  draft: EventDraft
  at: number
}

export function monitorPartsOf(service: TestService): MonitorEventsParts {
  return {
    database: service.database.open('qflare_worker', 2),
    storedLog: { database: service.database.open('qflare_sequencer', 1) },
    writeEvent: createEventWriter(crypto),
    logger: createLogger('silent'),
    incidentWebhook: undefined,
  }
}

/** Logs these, and has the monitor read what is new. */
export async function watch(
  service: TestService,
  parts: MonitorEventsParts,
  events: LoggedDraft[] = [],
): Promise<number> {
  if (events.length > 0) await addEvents(service, events)
  await service.log.sequence()
  return monitorEvents(parts, service.time.now)
}

interface StoredIncident {
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
    `select i.*, i.count::float8, (select count(*)::int from incident_event e where e.incident_id = i.id) as events
      from incident i order by i.opened_at, i.id`,
  )
  return rows
}

/** So many, some seconds apart, the last one now. */
export function series({ time }: TestService, draft: () => EventDraft, count: number, secondsApart = 1): LoggedDraft[] {
  return Array.from({ length: count }, (_, i) => ({
    draft: draft(),
    at: time.now - (count - 1 - i) * secondsApart * 1000,
  }))
}

/** Those that are in the outbox. */
async function outboxEvents(service: TestService, type: string): Promise<Record<string, unknown>[]> {
  const { rows } = await service.database.sql.query(
    `select entry::jsonb as event from audit_outbox where entry::jsonb ->> 'type' = $1`,
    [type],
  )
  return rows.map(({ event }) => event)
}

/** As the database has them, checked by nobody. */
async function setMonitorSettings(service: TestService, organizationId: string, settings: object): Promise<void> {
  await service.database.sql.query('insert into monitor_settings values ($1, $2, now())', [
    organizationId,
    JSON.stringify(settings),
  ])
}

/** With no incident, and nothing counted. */
async function forgetIncidents({ database }: TestService): Promise<void> {
  await database.sql.query(`truncate monitor_signal, incident, incident_event, incident_device, incident_notice, threat_score, exchange_rate,
    device_network, key_use, monitor_settings`)
}

/** A session of a device was confirmed wrongly. */
export function failedConfirmation(organizationId: string, deviceId: string): EventDraft {
  return {
    organizationId,
    actor: { type: 'device', id: deviceId },
    type: 'session.failed',
    subject: { deviceId, sessionId: newId() },
    data: {},
    requestId: newId(),
  }
}

/** A device asked for what it may not. */
export function refusedAccess(organizationId: string, deviceId: string): EventDraft {
  return {
    organizationId,
    actor: { type: 'device', id: deviceId },
    type: 'access.refused',
    subject: {},
    data: { route: 'GET /v1/devices' },
    requestId: newId(),
  }
}

/** The evidence of a device spoke against it. */
export function quarantinedDevice(organizationId: string, deviceId: string, checks = ['tpm2.pcrs']): EventDraft {
  return {
    organizationId,
    actor: { type: 'device', id: deviceId },
    type: 'device.quarantined',
    subject: { deviceId },
    data: { attestationId: newId(), policyId: 'fleet@1', checks, sessions: 1 },
    requestId: newId(),
  }
}

/** An exchange of a device was answered; `network` is a tag. */
export function openedSession(organizationId: string, deviceId: string, network?: string): EventDraft {
  return {
    organizationId,
    actor: { type: 'device', id: deviceId },
    type: 'session.opened',
    subject: { deviceId, sessionId: newId() },
    data: { suite: 'ML-KEM-1024', bucket: 1, expiresAt: 2, ...(network === undefined ? {} : { network }) },
    requestId: newId(),
  }
}
