import type { Client } from 'pg'
import type { LoggedEvent } from './log-checker.ts'

/** Of a type of event what it is about, and the rows that are what it says: there is one for each, and none besides. */
const rowsOf: Record<string, { of: (event: LoggedEvent) => string; sql: string }> = {
  'enrollment_token.created': { of: token, sql: 'select id::text from enrollment_token' },
  'enrollment_token.revoked': { of: token, sql: 'select id::text from enrollment_token where revoked_at is not null' },
  'enrollment.challenged': { of: token, sql: 'select id::text from challenge' },
  'device.enrolled': { of: ({ subject }) => String(subject['deviceId']), sql: 'select id::text from principal' },
  'session.opened': { of: session, sql: 'select id::text from session' },
  'session.established': { of: session, sql: 'select id::text from session where confirmed_at is not null' },
  'session.superseded': { of: session, sql: 'select id::text from session where superseded_at is not null' },
  'session.closed': { of: session, sql: `select id::text from session where state = 'CLOSED'` },
  'session.expired': { of: session, sql: `select id::text from session where state = 'EXPIRED'` },
  'session.timed_out': { of: session, sql: `select id::text from session where state = 'TIMED_OUT'` },
  'temporal_key.made': {
    of: temporalKey,
    sql: `select kind || ' ' || number || ' ' || generation as id from temporal_key`,
  },
  'temporal_key.destroyed': {
    of: temporalKey,
    sql: `select kind || ' ' || number || ' ' || generation as id from temporal_key where destroyed_at is not null`,
  },
}

function token({ subject }: LoggedEvent): string {
  return String(subject['enrollmentTokenId'])
}

function session({ subject }: LoggedEvent): string {
  return String(subject['sessionId'])
}

function temporalKey({ subject }: LoggedEvent): string {
  return `${String(subject['kind'])} ${String(subject['number'])} ${String(subject['generation'])}`
}

/** Throws unless the tables hold exactly what these events, which are all of the log, tell of. */
export async function compareTables(sql: Client, events: readonly LoggedEvent[]): Promise<void> {
  const byType = Map.groupBy(events, ({ type }) => type)
  for (const [type, { of, sql: text }] of Object.entries(rowsOf)) {
    const told = (byType.get(type) ?? []).map(of).sort()
    const { rows } = await sql.query<{ id: string }>(text)
    const stored = rows.map(({ id }) => id).sort()
    if (told.join() === stored.join()) continue
    const [untold, undone] = [without(stored, told), without(told, stored)]
    throw new Error(
      `${type}: ${told.length} events, ${stored.length} rows; rows without an event: ${untold.slice(0, 3).join()};` +
        ` events without a row: ${undone.slice(0, 3).join()}`,
    )
  }
}

function without(values: readonly string[], others: readonly string[]): string[] {
  const known = new Set(others)
  return values.filter((value) => !known.has(value))
}

/** Throws unless the names that devices had come in the order of their changes, and the last one is what each device has now. */
export async function compareNames(
  sql: Client,
  events: readonly LoggedEvent[],
  devices: readonly { deviceId: string; names: readonly { name: string; isAcknowledged: boolean }[] }[],
): Promise<void> {
  const { rows } = await sql.query<{ id: string; name: string; metadata: { name?: string } }>(
    'select id, name, metadata from principal',
  )
  for (const { deviceId, names } of devices) {
    const changed = events.filter(({ type, subject }) => type === 'device.changed' && subject['deviceId'] === deviceId)
    const logged = changed.map(({ data }) => String(data['name']))
    // The client made one after the other; what it does not know of may be missing.
    const expected = names.filter(({ name, isAcknowledged }) => isAcknowledged || logged.includes(name))
    if (logged.join() !== expected.map(({ name }) => name).join()) {
      throw new Error(`device ${deviceId}: its changes are not in the log in their order`)
    }
    const row = rows.find(({ id }) => id === deviceId)
    const last = logged.at(-1)
    if (last !== undefined && (row?.name !== last || row.metadata.name !== last)) {
      throw new Error(`device ${deviceId} is called ${row?.name}, its last change says ${last}`)
    }
  }
}
