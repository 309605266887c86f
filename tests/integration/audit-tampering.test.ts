import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { verifyTlogProof } from '../../protocol/log/tlog-proof.ts'
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
import { makeTenant, type Tenant } from '../support/tenants.ts'

/** What the superuser of the database could change of the past, and who finds it: entries of two organizations and the service. */

const logTables = ['audit_entry', 'audit_event_id', 'audit_tile', 'audit_checkpoint']

let service: TestService
let other: Tenant
let organizationId: string
let all: StoredEntry[]
/** Indexes: two of the organization, one of the other, one of the service itself; in three different tiles. */
let own: number
let ownToo: number
let foreign: number
let ofService: number

beforeAll(async () => {
  service = await startTestService({ partitionEntries: 512 })
  other = await makeTenant(service, 'other')
  organizationId = await firstOrganization(service)
  const organizations = [organizationId, other.organizationId, NIL_UUID]
  const events = Array.from({ length: 1_400 }, (_, i) => ({
    draft: deviceEvent(organizations[i % 3] as string),
    at: service.time.now,
  }))
  // In two parts, so that batches end within tiles: each tile is of two rows.
  for (const part of [events.slice(0, 100), events.slice(100)]) {
    await addEvents(service, part)
    await service.log.sequence()
  }
  all = await readEntries(service)
  own = indexOf(organizationId, 600)
  ownToo = indexOf(organizationId, 900)
  foreign = indexOf(other.organizationId, 700)
  ofService = indexOf(NIL_UUID, 1_100)
  await service.database.sql.query('create schema saved')
  await save()
}, 120_000)
afterAll(() => service.close())

beforeEach(() => service.database.sql.query('set session_replication_role = replica'))
afterEach(async () => {
  const { sql } = service.database
  for (const table of logTables) {
    await sql.query(`delete from ${table}`)
    await sql.query(`insert into ${table} overriding system value select * from saved.${table}`)
  }
  await sql.query('reset session_replication_role')
  expect(await problemOf(service)).toBeUndefined()
})

async function save(): Promise<void> {
  for (const table of logTables) {
    await service.database.sql.query(`create table saved.${table} as select * from ${table}`)
  }
}

function indexOf(organization: string, from: number): number {
  return (all.find((entry) => entry.organizationId === organization && entry.index >= from) as StoredEntry).index
}

/** What the verifier says of the whole log, as the auditor of an organization gets it. */
async function problemOf(
  by: TestService,
  query = '',
): Promise<{ index: number | undefined; reason: string } | undefined> {
  return verifyExport(service, await fetchExport(service, query, by.adminToken)).problem
}

async function change(statement: string, ...values: unknown[]): Promise<void> {
  const { rowCount } = await service.database.sql.query(statement, values)
  expect(rowCount, statement).toBeGreaterThan(0)
}

/** The service answers for what nobody touched, takes events, and signs on. */
async function expectServing(): Promise<void> {
  const token = service.adminToken
  expect((await call(service, 'GET', '/v1/audit/events?limit=200', { token })).status).toBe(200)
  expect((await call(service, 'GET', '/v1/audit/checkpoint')).status).toBe(200)
  expect((await call(service, 'GET', '/ready')).status).toBe(200)
  const answer = await call(service, 'POST', '/v1/enrollment-tokens', { token, body: { kind: 'device' } })
  expect(answer.status).toBe(201)
}

const edited = (index: number) => (all[index] as StoredEntry).entry.replace('"notice"', '"notics"')

describe('of an entry of the organization', () => {
  test('one changed character is found at its index', async () => {
    await change('update audit_entry set entry = $2 where index = $1', own, edited(own))
    expect(await problemOf(service)).toEqual({ index: own, reason: `Entry ${own} is not the one that was logged.` })
    await expectServing()
  })

  test.each([
    ['what is no JSON', 'not JSON'],
    ['several lines', '{\n}'],
    ['nothing', ''],
    ['another value', '7'],
    ['a line that ends too early', '{}}\n{"index":7}'],
  ])('a body of %s is found at its index', async (_what, text) => {
    await change('update audit_entry set entry = $2 where index = $1', own, text)
    expect(await problemOf(service)).toMatchObject({ index: own })
  })

  test('the deletion is found at its index', async () => {
    await change('delete from audit_entry where index = $1', own)
    expect(await problemOf(service)).toMatchObject({ index: own })
    await expectServing()
  })

  test('the deletion with all that says whose it was is found at its index', async () => {
    await change('delete from audit_entry where index = $1', own)
    await change('delete from audit_event_id where index = $1', own)
    expect(await problemOf(service)).toMatchObject({ index: own })
    await expectServing()
  })

  test('the exchange with another is found at the first of the two', async () => {
    const [first, second] = [own, ownToo]
    await change(
      `update audit_entry set entry = case when index = $1 then $4::text else $3::text end where index in ($1::bigint, $2)`,
      first,
      second,
      all[first]?.entry,
      all[second]?.entry,
    )
    expect(await problemOf(service)).toMatchObject({ index: first })
    await expectServing()
  })

  test.each(['audit_entry', 'audit_event_id'])('the exchange of whole rows, of %s too, is found', async (table) => {
    await exchange('audit_entry', own, ownToo)
    if (table === 'audit_event_id') await exchange(table, own, ownToo)
    expect(await problemOf(service)).toMatchObject({ index: own })
    await expectServing()
  })

  test('a forgery that has its own hash in the tile is found, though no index can be named', async () => {
    const forged = edited(own)
    await change('update audit_entry set entry = $2 where index = $1', own, forged)
    await overwriteHash(own, `sha256('\\x00' || convert_to($1, 'UTF8'))`, [forged])
    expect(await problemOf(service)).toMatchObject({
      index: undefined,
      reason: expect.stringMatching(/^At least one entry/),
    })
    await expectServing()
  })
})

describe('of an entry of the service itself', () => {
  test('a change and a deletion are found by every auditor', async () => {
    await change('update audit_entry set entry = $2 where index = $1', ofService, edited(ofService))
    for (const by of [service, other]) expect(await problemOf(by)).toMatchObject({ index: ofService })
    await change('delete from audit_entry where index = $1', ofService)
    for (const by of [service, other]) expect(await problemOf(by)).toMatchObject({ index: ofService })
  })
})

describe('of an entry of another organization', () => {
  test('a change is found by its own auditor; who sees its hash alone loses nothing', async () => {
    await change('update audit_entry set entry = $2 where index = $1', foreign, edited(foreign))
    expect(await problemOf(other)).toMatchObject({ index: foreign })
    expect(await problemOf(service)).toBeUndefined()
  })

  test('a deletion with all that says whose it was is found by both', async () => {
    await change('delete from audit_entry where index = $1', foreign)
    expect(await problemOf(other)).toMatchObject({ index: foreign })
    await change('delete from audit_event_id where index = $1', foreign)
    for (const by of [service, other]) expect(await problemOf(by)).toMatchObject({ index: foreign })
  })

  test('the exchange with one’s own, in all tables that name it, is found by both where their own should be', async () => {
    for (const table of ['audit_entry', 'audit_event_id']) await exchange(table, own, foreign)
    expect(await problemOf(service)).toMatchObject({ index: foreign })
    expect(await problemOf(other)).toMatchObject({ index: own })
  })
})

describe('of the hashes of the tree', () => {
  test('one that is changed is found at the index of its entry, and where that is not to be seen without an index', async () => {
    await overwriteHash(own, `sha256('x')`)
    expect(await problemOf(service)).toMatchObject({ index: own })
    expect(await problemOf(other)).toMatchObject({ index: undefined })
    await expectServing()
  })

  test('two that are exchanged are found at the first', async () => {
    const [first, second] = [indexOf(organizationId, 513), indexOf(organizationId, 530)]
    await overwriteHash(first, hashAt(second))
    expect(await problemOf(service)).toMatchObject({ index: first })
  })

  test('a row that is gone breaks the export off: what came of it does not verify', async () => {
    await change('delete from audit_tile where level = 0 and first_index / 256 = 4')
    const response = await fetch(`${service.url}/v1/audit/export`, {
      headers: { authorization: `Bearer ${service.adminToken}` },
    })
    let text = ''
    const reading = (async () => {
      for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString()
    })()
    await expect(reading).rejects.toThrow()
    const { problem } = verifyExport(service, text.trimEnd().split('\n'))
    expect(problem).toMatchObject({ index: 1_024, reason: 'The export ends too early.' })
    expect((await call(service, 'GET', '/v1/audit/tile/0/004')).status).toBe(500)
    await expectServing()
  })

  test('a row in the middle of a tile that is gone shifts nothing: nobody gets hashes of other places', async () => {
    await change('delete from audit_tile where level = 0 and first_index / 256 = 1 and first_index <> 256')
    expect((await call(service, 'GET', '/v1/audit/tile/0/001')).status).toBe(500)
    expect((await call(service, 'GET', '/v1/audit/tile/0/002')).status).toBe(200)
    await change('delete from audit_tile where level = 0 and first_index = 512')
    expect((await call(service, 'GET', '/v1/audit/tile/0/002.p/1')).status).toBe(500)
  })

  test('a changed one of a higher level is found by who proves with it, and by who begins behind it', async () => {
    await change(`update audit_tile set hashes = set_byte(hashes, 0, get_byte(hashes, 0) # 1) where level = 1`)
    const { entry, event } = all[ownToo] as StoredEntry
    const { body } = await call(service, 'GET', `/v1/audit/events/${event.id}/proof`, { token: service.adminToken })
    const verify = () => verifyTlogProof(crypto, body, new TextEncoder().encode(entry), { log: service.log.keys })
    expect(verify).toThrow(/is not what the tree/)
    expect(await problemOf(service, '?from=800')).toMatchObject({ index: undefined })
    expect(await problemOf(service)).toBeUndefined()
  })
})

test('a checkpoint whose note is changed is no checkpoint: the export does not verify', async () => {
  await change(`update audit_checkpoint set note = replace(note, size || chr(10), (size - 1) || chr(10))`)
  expect(await problemOf(service)).toMatchObject({
    index: undefined,
    reason: expect.stringMatching(/does not verify/),
  })
})

test('what is logged after the past was changed is logged and signed, and does not hide the change', async () => {
  await change('update audit_entry set entry = $2 where index = $1', own, edited(own))
  const [written] = await logEvents(service, organizationId, 1)
  const { status } = await call(service, 'GET', `/v1/audit/events/${written?.eventId}`, { token: service.adminToken })
  expect(status).toBe(200)
  expect(await problemOf(service)).toMatchObject({ index: own })
  expect(await problemOf(service, `?from=${own + 1}`)).toBeUndefined()
  // The log has grown: that stays, and its past is mended.
  const { sql } = service.database
  await change('update audit_entry set entry = $2 where index = $1', own, all[own]?.entry)
  await sql.query('drop schema saved cascade')
  await sql.query('create schema saved')
  await save()
})

/** Two rows of a table change their places. */
async function exchange(table: string, one: number, two: number): Promise<void> {
  await service.database.sql.query(
    `create temporary table moved as select * from ${table} where index in (${one}, ${two})`,
  )
  await change(`delete from ${table} where index in (${one}, ${two})`)
  await change(`update moved set index = ${one + two} - index`)
  await change(`insert into ${table} select * from moved`)
  await service.database.sql.query('drop table moved')
}

async function overwriteHash(index: number, expression: string, values: unknown[] = []): Promise<void> {
  await change(
    `update audit_tile set hashes = overlay(hashes placing ${expression} from ${32 * index} - 32 * first_index::int + 1 for 32)
      where level = 0 and first_index <= ${index} and ${index} < first_index + length(hashes) / 32`,
    ...values,
  )
}

function hashAt(index: number): string {
  return `(select substring(t.hashes from ${32 * index} - 32 * t.first_index::int + 1 for 32) from audit_tile t
    where t.level = 0 and t.first_index <= ${index} and ${index} < t.first_index + length(t.hashes) / 32)`
}
