import type { Json } from '../../protocol/encoding.ts'
import { createExportVerifier, type ExportReport } from '../../protocol/log/audit-export.ts'
import { createEventWriter, type EventDraft, type LoggedEvent } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import { call } from './api.ts'
import { crypto, type TestService } from './service.ts'

const writeEvent = createEventWriter(crypto)

/** Of the organization, by some API token: what an operator did to a device. */
export function deviceEvent(organizationId: string, deviceId: string = newId()): EventDraft {
  return {
    organizationId,
    actor: { type: 'api_token', id: newId() },
    type: 'device.resumed',
    subject: { deviceId },
    data: {},
    requestId: newId(),
  }
}

/** Events as the service writes them, put into the outbox in this order; they are in no log until somebody sequences. */
export async function addEvents(
  { database }: Pick<TestService, 'database'>,
  events: readonly { draft: EventDraft; at: number }[],
): Promise<LoggedEvent[]> {
  const written = events.map(({ draft, at }) => writeEvent(draft, at))
  await database.sql.query(
    `insert into audit_outbox (organization_id, event_id, entry)
      select * from unnest($1::uuid[], $2::uuid[], $3::text[])`,
    [
      written.map(({ organizationId }) => organizationId),
      written.map(({ eventId }) => eventId),
      written.map(({ entry }) => entry),
    ],
  )
  return written
}

/** So many events of an organization at the service's time, in the log and published. */
export async function logEvents(service: TestService, organizationId: string, count: number): Promise<LoggedEvent[]> {
  const events = Array.from({ length: count }, () => ({ draft: deviceEvent(organizationId), at: service.time.now }))
  const written = await addEvents(service, events)
  await service.log.sequence()
  return written
}

export interface StoredEntry {
  index: number
  organizationId: string
  /** The leaf's bytes, as text. */
  entry: string
  event: Event
}

interface Event {
  id: string
  at: number
  type: string
  severity: string
  organizationId: string
  actor: { type: string; id: string }
  subject: { deviceId?: string }
  [member: string]: Json | undefined
}

/** The whole log as the superuser sees it. */
export async function readEntries({ database }: Pick<TestService, 'database'>): Promise<StoredEntry[]> {
  const { rows } = await database.sql.query<{ index: number; organization_id: string; entry: string }>(
    'select index::int, organization_id, entry from audit_entry order by index',
  )
  return rows.map(({ index, organization_id, entry }) => {
    return { index, organizationId: organization_id, entry, event: JSON.parse(entry) as Event }
  })
}

/** The organization that the service begins with. */
export async function firstOrganization({ database }: Pick<TestService, 'database'>): Promise<string> {
  const { rows } = await database.sql.query<{ id: string }>(`select id from organization where name = 'default'`)
  return (rows[0] as { id: string }).id
}

/** `query`: as in `?from=3`. Throws unless it is answered 200. */
export async function fetchExport(service: TestService, query = '', token = service.adminToken): Promise<string[]> {
  const { status, body } = await call(service, 'GET', `/v1/audit/export${query}`, { token })
  if (status !== 200) throw new Error(`no export: ${status} ${JSON.stringify(body)}`)
  return (body as string).trimEnd().split('\n')
}

export function verifyExport({ log }: Pick<TestService, 'log'>, lines: readonly string[]): ExportReport {
  const verifier = createExportVerifier(crypto, { log: log.keys })
  for (const line of lines) verifier.push(line)
  return verifier.finish()
}

/** A log can have events of these types, but not out of what a service does in one process. */
export const eventsOfElsewhere = [
  'service.restored',
  'audit_log.checkpoint_lost',
  'audit_log.entry_refused',
  'audit_log.entries_removed',
  'audit_log.difference_found',
  'kek.rotation_requested',
  'trust.brought_ahead',
]
