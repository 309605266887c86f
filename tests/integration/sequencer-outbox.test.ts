import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { canonicalJson, type Json } from '../../protocol/encoding.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { createEventWriter } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import { call } from '../support/api.ts'
import {
  addEvents,
  deviceEvent,
  fetchExport,
  firstOrganization,
  logEvents,
  readEntries,
  type StoredEntry,
  verifyExport,
} from '../support/audit.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'

/** Whatever lies in the outbox, the log goes on: what is no event of the service is replaced by one that says so. */

let service: TestService
let organizationId: string

beforeAll(async () => {
  service = await startTestService()
  organizationId = await firstOrganization(service)
  await service.log.sequence()
})
afterAll(() => service.close())

interface Row {
  organizationId: string
  eventId: string
  entry: string
}

async function put(row: Row): Promise<void> {
  await service.database.sql.query('insert into audit_outbox (organization_id, event_id, entry) values ($1, $2, $3)', [
    row.organizationId,
    row.eventId,
    row.entry,
  ])
}

/** A good event with members that are changed; undefined takes one away. */
function eventWith(change: Record<string, Json | undefined>): Row {
  const row = createEventWriter(crypto)(deviceEvent(organizationId), service.time.now)
  const members = Object.entries({ ...(JSON.parse(row.entry) as Record<string, Json>), ...change })
  const kept = Object.fromEntries(members.filter((member): member is [string, Json] => member[1] !== undefined))
  return { ...row, entry: canonicalJson(kept) }
}

const textOf = (entry: (row: Row) => string) => () => {
  const row = eventWith({})
  return { ...row, entry: entry(row) }
}

/** Entries behind `size`. */
async function logged(size: number): Promise<StoredEntry[]> {
  await service.log.sequence()
  return (await readEntries(service)).slice(size)
}

const notCanonical = 'It is not canonical JSON of an object.'
const another = 'It names another event or organization than its row.'
const noLabel = 'It has no type or no severity.'

describe('a row of the outbox that is no event is refused in the log, and those around it are logged:', () => {
  test.each<[string, () => Row, string]>([
    ['no JSON', textOf(() => 'no JSON'), notCanonical],
    ['nothing', textOf(() => ''), notCanonical],
    ['a number', textOf(() => '7'), notCanonical],
    ['null', textOf(() => 'null'), notCanonical],
    ['a list', textOf((row) => `[${row.entry}]`), notCanonical],
    ['an event with a space', textOf((row) => row.entry.replace(',', ', ')), notCanonical],
    ['an event with a line break behind it', textOf((row) => `${row.entry}\n`), notCanonical],
    ['a member that is there twice', textOf((row) => row.entry.replace('{', '{"actor":null,')), notCanonical],
    ['members out of their order', textOf((row) => row.entry.replace('{', '{"z":0,')), notCanonical],
    ['a number spelled another way', textOf((row) => row.entry.replace('"v":1', '"v":1.0')), notCanonical],
    ['a number that is not finite', textOf((row) => row.entry.replace('"v":1', '"v":1e999')), notCanonical],
    [
      'half of a pair of surrogates',
      textOf((row) => row.entry.replace('"data":{}', '"data":{"x":"\\ud800"}')),
      notCanonical,
    ],
    ['a nest of 30,000 lists', textOf(() => `{"a":${'['.repeat(30_000)}${']'.repeat(30_000)}}`), notCanonical],
    ['a nest of 10,000 objects', textOf(() => `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`), notCanonical],
    ['65,535 bytes of nothing', textOf(() => ' '.repeat(65_535)), notCanonical],
    ['another version', () => eventWith({ v: 2 }), 'It is not an event of version 1.'],
    ['no version', () => eventWith({ v: undefined }), 'It is not an event of version 1.'],
    ['another id', () => eventWith({ id: newId() }), another],
    ['an id in capitals', () => eventWith({ id: newId().toUpperCase() }), 'It has no id or no organization.'],
    ['no id', () => eventWith({ id: undefined }), 'It has no id or no organization.'],
    ['another organization', () => eventWith({ organizationId: newId() }), another],
    ['the organization of the service', () => eventWith({ organizationId: NIL_UUID }), another],
    ['no time', () => eventWith({ at: undefined }), 'It has no time.'],
    ['a time in words', () => eventWith({ at: 'now' }), 'It has no time.'],
    ['a time before 1970', () => eventWith({ at: -1 }), 'It has no time.'],
    ['a time with a fraction', () => eventWith({ at: 1.5 }), 'It has no time.'],
    ['a time in the year 10000', () => eventWith({ at: Date.UTC(10_000, 0) }), 'It has no time.'],
    ['a time that is no date', () => eventWith({ at: Number.MAX_SAFE_INTEGER }), 'It has no time.'],
    ['no type', () => eventWith({ type: undefined }), noLabel],
    ['a type in capitals', () => eventWith({ type: 'Device.resumed' }), noLabel],
    ['a type of 65 characters', () => eventWith({ type: 'a'.repeat(65) }), noLabel],
    ['a severity that is a number', () => eventWith({ severity: 7 }), noLabel],
  ])('%s', async (_what, make, reason) => {
    const { length: size } = await readEntries(service)
    const row = make()
    const [before] = await addEvents(service, [{ draft: deviceEvent(organizationId), at: service.time.now }])
    await put(row)
    const [after] = await addEvents(service, [{ draft: deviceEvent(organizationId), at: service.time.now }])
    const entries = await logged(size)
    expect(entries.map(({ event }) => event.id)).toEqual([before?.eventId, expect.any(String), after?.eventId])
    expect(entries[1]?.event).toMatchObject({
      organizationId: NIL_UUID,
      actor: { type: 'service', id: NIL_UUID },
      type: 'audit_log.entry_refused',
      severity: 'critical',
      subject: { eventId: row.eventId, organizationId: row.organizationId },
      data: {
        reason,
        entryHash: Buffer.from(crypto.hash256(new TextEncoder().encode(row.entry))).toString('base64url'),
      },
      at: service.time.now,
    })
    const { rows } = await service.database.sql.query('select from audit_outbox')
    expect(rows).toEqual([])
  })

  test('an event that is in the log already, which stays there once', async () => {
    const [event] = await logEvents(service, organizationId, 1)
    const { length: size } = await readEntries(service)
    await put(event as Row)
    const [refusal, ...more] = await logged(size)
    expect(more).toEqual([])
    expect(refusal?.event).toMatchObject({
      type: 'audit_log.entry_refused',
      subject: { eventId: event?.eventId },
      data: { reason: 'It is in the log already.' },
    })
    const all = await readEntries(service)
    expect(all.filter(({ event: { id } }) => id === event?.eventId)).toHaveLength(1)
  })

  test('a whole batch of such rows, and more', async () => {
    const { length: size } = await readEntries(service)
    const { sql } = service.database
    await sql.query(
      `insert into audit_outbox (organization_id, event_id, entry)
        select $1, gen_random_uuid(), 'no JSON ' || i from generate_series(1, 300) as i`,
      [organizationId],
    )
    const entries = await logged(size)
    expect(entries).toHaveLength(300)
    expect(new Set(entries.map(({ event }) => event.type))).toEqual(new Set(['audit_log.entry_refused']))
    expect(verifyExport(service, await fetchExport(service)).problem).toBeUndefined()
  })
})

describe('an event that is unusual is logged as it is:', () => {
  test.each<[string, () => Row]>([
    ['a type and a severity of a newer release', () => eventWith({ type: 'device.cloned', severity: 'alarm' })],
    ['members of a newer release', () => eventWith({ members: { of: ['a', 'newer', 'release'] } })],
    ['no actor and no subject', () => eventWith({ actor: undefined, subject: undefined })],
    ['an actor and a device that are no ids', () => eventWith({ actor: { id: 'x' }, subject: { deviceId: 7 } })],
    ['the first moment', () => eventWith({ at: 0 })],
    ['the last moment of the year 9999', () => eventWith({ at: Date.UTC(10_000, 0) - 1 })],
    ['every character that has to be escaped', () => eventWith({ data: { x: '"\\/\b\f\n\r\t\u0000\u007f{}, é 😀' } })],
    [
      '65,535 bytes',
      () => {
        const { length } = eventWith({ data: { x: '' } }).entry
        return eventWith({ data: { x: 'x'.repeat(65_535 - length) } })
      },
    ],
  ])('%s', async (_what, make) => {
    const { length: size } = await readEntries(service)
    const row = make()
    await put(row)
    const entries = await logged(size)
    expect(entries.map(({ entry }) => entry)).toEqual([row.entry])
    const { status, body } = await call(service, 'GET', `/v1/audit/export?from=${size}`, { token: service.adminToken })
    expect(status).toBe(200)
    expect(verifyExport(service, body.trimEnd().split('\n'))).toMatchObject({ problem: undefined, events: 1 })
  })
})
