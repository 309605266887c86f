import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { verifyTlogProof } from '../../protocol/log/tlog-proof.ts'
import { createLogger } from '../../runtime/logger.ts'
import { pruneAuditLog } from '../../workers/jobs/prune-audit-log.ts'
import { type Answer, call } from '../support/api.ts'
import {
  fetchExport,
  firstOrganization,
  logEvents,
  readEntries,
  type StoredEntry,
  verifyExport,
} from '../support/audit.ts'
import { createTestDatabase } from '../support/database.ts'
import { plainTreeOf } from '../support/plain-merkle.ts'
import { expectRefusal } from '../support/refusals.ts'
import { crypto, startTestService, type TestService } from '../support/service.ts'
import { makeTenant, type Tenant } from '../support/tenants.ts'

const YEAR_MS = 365.25 * 86_400_000
const utf8 = new TextEncoder()

describe('a log whose first partition is three years old', () => {
  const now = Date.now()
  let service: TestService
  let other: Tenant
  let organizationId: string
  /** As they were before anything was removed. */
  let all: StoredEntry[]
  let oldEvent: StoredEntry
  let oldProof: string
  let consistency: unknown
  let tile: Answer

  beforeAll(async () => {
    service = await startTestService({ partitionEntries: 512, now: now - 3 * YEAR_MS })
    other = await makeTenant(service, 'other')
    organizationId = await firstOrganization(service)
    await logEvents(service, organizationId, 200)
    await logEvents(service, other.organizationId, 200)
    await logEvents(service, NIL_UUID, 200)
    service.time.now = now
    // The second partition begins with old entries, and ends with new ones; there is a third.
    for (const organization of [organizationId, other.organizationId]) await logEvents(service, organization, 300)
    all = await readEntries(service)
    expect(all.length).toBeGreaterThan(1_024)
    oldEvent = all.find((entry) => entry.organizationId === organizationId && entry.index > 100) as StoredEntry
    oldProof = (await get(`events/${oldEvent.event.id}/proof`)).body
    consistency = (await get('consistency?from=300&to=700')).body
    tile = await get('tile/0/000')
  }, 120_000)
  afterAll(() => service.close())

  const get = (path: string, by: TestService = service) =>
    call(service, 'GET', `/v1/audit/${path}`, { token: by.adminToken })
  const isRemoved = ({ index }: { index: number }) => index < 512

  async function prune(retentionYears: number | undefined): Promise<void> {
    const { database, writeEvent } = service.log.options
    await pruneAuditLog({ database, writeEvent, logger: createLogger('silent'), retentionYears }, service.time.now)
    await service.log.sequence()
  }

  test.each([undefined, 4])('loses nothing under a retention of %s years', async (retentionYears) => {
    await prune(retentionYears)
    expect(await readEntries(service)).toEqual(all)
  })

  test('loses nothing where the event that would tell of it cannot be stored', async () => {
    const { sql } = service.database
    await sql.query('revoke insert on audit_outbox from qflare_sequencer')
    try {
      await expect(prune(2)).rejects.toMatchObject({ code: 'event_refused' })
    } finally {
      await sql.query('grant insert on audit_outbox to qflare_sequencer')
    }
    expect(await readEntries(service)).toEqual(all)
  })

  test('loses the bodies of that partition under a retention of two years, once, and says so', async () => {
    for (let i = 0; i < 2; i++) await prune(2)
    const left = await readEntries(service)
    expect(left.slice(0, -1)).toEqual(all.filter((entry) => !isRemoved(entry)))
    expect(left.at(-1)?.event).toMatchObject({
      type: 'audit_log.entries_removed',
      severity: 'notice',
      organizationId: NIL_UUID,
      data: { fromIndex: 0, toIndex: 512, newestAt: all[511]?.event.at },
    })
    const { rows } = await service.database.sql.query(
      `select first_index::int, removed_at is not null as is_removed from audit_partition order by first_index limit 2`,
    )
    expect(rows).toEqual([
      { first_index: 0, is_removed: true },
      { first_index: 512, is_removed: false },
    ])
  })

  test('still proves what was removed to who kept it: by old proofs and by new ones', async () => {
    const entry = utf8.encode(oldEvent.entry)
    const keys = { log: service.log.keys }
    const { index } = oldEvent
    expect(verifyTlogProof(crypto, oldProof, entry, keys)).toMatchObject({ index, checkpoint: { size: all.length } })
    const { status, body } = await get(`events/${oldEvent.event.id}/proof`)
    expect(status).toBe(200)
    expect(verifyTlogProof(crypto, body, entry, keys)).toMatchObject({ index, checkpoint: { size: all.length + 1 } })
    expectRefusal(await get(`events/${oldEvent.event.id}/proof`, other), 404, 'not_found')
  })

  test('has the same tree as before: tiles and consistency proofs', async () => {
    expect((await get('consistency?from=300&to=700')).body).toEqual(consistency)
    expect((await get('tile/0/000')).body).toBe(tile.body)
    const whole = plainTreeOf(
      [...all.filter(isRemoved), ...(await readEntries(service))].map(({ entry }) => utf8.encode(entry)),
    )
    const { body } = await get('consistency?from=500')
    expect(body.hashes).toEqual(whole.proof(500n, BigInt(all.length + 1)).map((hash) => hash.toString('base64url')))
  })

  test('shows of what was removed the hashes alone, in an export that verifies', async () => {
    const kept = await readEntries(service)
    for (const by of [service, other]) {
      const own = [NIL_UUID, by === other ? other.organizationId : organizationId]
      const events = kept.filter((entry) => own.includes(entry.organizationId)).length
      const lines = await fetchExport(service, '', by.adminToken)
      expect(verifyExport(service, lines)).toMatchObject({ problem: undefined, events })
      const removed = lines.slice(1, 513)
      expect(removed.filter((line) => !/^\{"index":\d+,"leafHash":"[\w-]{43}"\}$/.test(line))).toEqual([])
    }
    const edge = verifyExport(service, await fetchExport(service, '?from=500&to=520'))
    expect(edge).toMatchObject({ problem: undefined, from: 500, to: 520 })
    expect(edge.hashesOnly).toBeGreaterThanOrEqual(12)
  })

  test('lists what is left, whatever is asked for, and has no event under an id whose body is gone', async () => {
    expectRefusal(await get(`events/${oldEvent.event.id}`), 404, 'not_found')
    const first = (await get('events?order=oldest&limit=1')).body.items[0]
    expect(first.index).toBeGreaterThanOrEqual(512)
    for (const query of [`to=${now - 2 * YEAR_MS}`, `from=1&to=${now - 2 * YEAR_MS}`]) {
      const { items } = (await get(`events?${query}&order=oldest&limit=200`)).body
      expect(items.length).toBeGreaterThan(0)
      expect(items.filter(isRemoved)).toEqual([])
    }
    expect((await get('events?order=oldest&type=service.initialized')).body).toEqual({ items: [], nextCursor: null })
  })

  test('goes on', async () => {
    await logEvents(service, organizationId, 3)
    expect(verifyExport(service, await fetchExport(service)).problem).toBeUndefined()
  })
})

describe('checkpoints', () => {
  /** One a day and a thousand more: sixteen days with a hundred each, published up to the last but `unpublished`. */
  async function makeCheckpoints(unpublished = 0, witnessed: number[] = []) {
    const database = await createTestDatabase()
    onTestFinished(() => database.drop())
    const { sql } = database
    await sql.query(
      `insert into audit_checkpoint (size, root, signed_at, note)
        select 0, sha256(''), timestamptz '2031-05-06T00:00:00Z' + (i - 1) / 100 * interval '1 day'
          + (i - 1) % 100 * interval '14 minutes', 'note' from generate_series(1, 1600) as i`,
    )
    await sql.query('update audit_log_state set published_id = $1', [1_600 - unpublished])
    for (const id of witnessed) {
      await sql.query(
        `insert into audit_cosignature (checkpoint_id, witness, line, received_at) values ($1, 'w', 'line', now())`,
        [id],
      )
    }
    const sequencer = database.open('qflare_sequencer')
    const parts = { database: sequencer, writeEvent: () => expect.unreachable(), logger: createLogger('silent') }
    return {
      prune: () => pruneAuditLog({ ...parts, retentionYears: undefined }, Date.UTC(2032, 0)),
      async ids(): Promise<number[]> {
        const { rows } = await sql.query<{ id: number }>('select id::int from audit_checkpoint order by id')
        return rows.map(({ id }) => id)
      },
      sql,
    }
  }

  const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

  test('are kept while they are of the newest thousand, and of the older ones the last of each day', async () => {
    const { prune, ids } = await makeCheckpoints()
    await prune()
    const expected = [100, 200, 300, 400, 500, ...range(600, 1_600)]
    expect(await ids()).toEqual(expected)
    await prune()
    expect(await ids()).toEqual(expected)
  })

  test('count from the published one: what is not published yet is all kept', async () => {
    const { prune, ids } = await makeCheckpoints(500)
    await prune()
    expect(await ids()).toEqual([...range(100, 1_600)])
  })

  test('are all kept while none is published', async () => {
    const { prune, ids, sql } = await makeCheckpoints()
    await sql.query('update audit_log_state set published_id = null')
    await prune()
    expect(await ids()).toHaveLength(1_600)
  })

  test('keep the newest that witnesses signed, with its lines, however old it is', async () => {
    const { prune, ids, sql } = await makeCheckpoints(0, [37, 53, 200])
    await sql.query('delete from audit_cosignature where checkpoint_id = 200')
    await prune()
    expect(await ids()).toEqual([53, 100, 200, 300, 400, 500, ...range(600, 1_600)])
    expect((await sql.query('select checkpoint_id::int as id from audit_cosignature')).rows).toEqual([{ id: 53 }])
  })
})
