import { randomUUID } from 'node:crypto'
import { Kysely, type LogEvent, PostgresDialect } from 'kysely'
import { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Database, Statement, Tx } from '../../database/open.ts'
import { toParameter } from '../../database/parameters.ts'
import { findLoggedEvents, listOutbox } from '../../database/repositories/audit-log.ts'
import {
  findEntry,
  findEventIndex,
  findForProof,
  findMissingEvents,
  listEntries,
  listOwnIndexes,
  readTiles,
  readTilesAtOnce,
} from '../../database/repositories/audit-reader.ts'
import { type EventFilter, listEvents } from '../../database/repositories/list-audit-events.ts'
import type { Tables } from '../../database/tables.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

/** How PostgreSQL answers readers of a log of 100,000 entries in several partitions, and its sequencer, behind row-level security. */

const ENTRIES = 100_000
const PARTITION = 32_768
const organizationId = randomUUID()
const begin = Date.UTC(2031, 4, 6)
const device = '00000000-0000-4000-8000-000000000007'

let database: TestDatabase
let auditor: Kysely<Tables>
let pool: Pool
const sent: LogEvent[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  const { sql } = database
  await sql.query(
    `update audit_log_state set partition_entries = ${PARTITION}, size = ${ENTRIES}, published_size = ${ENTRIES}`,
  )
  for (let index = 0; index < ENTRIES; index += PARTITION) await sql.query('select make_audit_partition($1)', [index])
  // One in ten is of the service itself, three of another organization; of 1,000 devices and 100 tokens; one in 1,000 is critical.
  await sql.query(
    `insert into audit_entry (index, organization_id, event_id, at, type, severity, actor_id, device_id, entry)
      select i, case when i % 10 = 0 then $2::uuid when i % 10 < 4 then $3 else $1 end, gen_random_uuid(),
        timestamptz '2031-05-06T00:00:00Z' + i * interval '1 second', case when i % 500 = 5 then 'rare.type' else 'session.opened' end,
        case when i % 1000 = 5 then 'critical' when i % 100 = 6 then 'warning' when i % 10 = 7 then 'notice' else 'info' end,
        ('00000000-0000-4000-9000-' || lpad((i % 100)::text, 12, '0'))::uuid,
        case when i % 3 <> 0 then ('00000000-0000-4000-8000-' || lpad((i % 1000)::text, 12, '0'))::uuid end,
        repeat('x', 300)
      from generate_series(0, ${ENTRIES - 1}) as i`,
    [organizationId, NIL_UUID, randomUUID()],
  )
  await sql.query(
    `insert into audit_event_id (organization_id, event_id, index) select organization_id, event_id, index from audit_entry`,
  )
  await sql.query(
    `insert into audit_tile (level, first_index, hashes) select 0, i, sha256('') from generate_series(0, ${ENTRIES - 1}) as i`,
  )
  await sql.query(
    `update audit_partition set oldest_at = timestamptz '2031-05-06T00:00:00Z' + first_index * interval '1 second',
      newest_at = timestamptz '2031-05-06T00:00:00Z' + (end_index - 1) * interval '1 second'`,
  )
  await sql.query(
    `insert into audit_outbox (organization_id, event_id, entry) select $1, gen_random_uuid(), repeat('x', 300)
      from generate_series(1, 20000)`,
    [organizationId],
  )
  // What autovacuum looks at: partitions, and not the table that they are of.
  const { rows } = await sql.query(`select relname as name from pg_class where relkind = 'r' and relname like 'audit%'`)
  for (const { name } of rows) await sql.query(`vacuum analyze ${name}`)
  const options = `-c role=qflare_auditor -c qflare.organization_id=${organizationId} -c plan_cache_mode=force_generic_plan`
  pool = new Pool({ ...database.login, max: 1, options })
  auditor = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }), log: (event) => void sent.push(event) })
}, 120_000)
afterAll(async () => {
  await auditor.destroy()
  await database.drop()
})

/** What a repository sends, without the transaction around it. */
async function sentBy(read: (tx: Tx) => Promise<unknown>): Promise<{ text: string; values: readonly unknown[] }> {
  sent.length = 0
  await auditor.transaction().execute(read)
  const last = sent.findLast(({ query }) => /select/.test(query.sql))?.query
  if (last === undefined) throw new Error('nothing was read')
  return { text: last.sql, values: last.parameters }
}

async function sentAtOnce(send: (recording: Database) => Promise<unknown>): Promise<Statement[]> {
  let statements: readonly Statement[] = []
  const recording: Pick<Database, 'sendTransaction'> = {
    async sendTransaction(_scope, given) {
      statements = given
      return ['']
    },
  }
  await send(recording as Database)
  return [...statements]
}

interface Plan {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Actual Rows': number
  'Shared Hit Blocks': number
  'Shared Read Blocks': number
  Plans?: Plan[]
}

const flatten = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(flatten)]

/** How it is run, under the settings of the service: pages that it touches, and through which indexes. */
async function run(
  { text, values }: { text: string; values: readonly unknown[] },
  role = 'qflare_auditor',
): Promise<{ pages: number; rows: number; indexes: string[]; wholeTables: string[] }> {
  const { sql } = database
  await sql.query('begin')
  try {
    await sql.query('set local plan_cache_mode = force_generic_plan')
    await sql.query(`set local role ${role}`)
    await sql.query(`select set_config('qflare.organization_id', $1, true)`, [organizationId])
    const name = `plan_${randomUUID().replaceAll('-', '')}`
    await sql.query(`prepare ${name} as ${text}`)
    const literals = values.map((value) => `'${String(toParameter(value))}'`).join(', ')
    const { rows } = await sql.query(
      `explain (analyze, buffers, format json) execute ${name}${literals === '' ? '' : `(${literals})`}`,
    )
    const plan: Plan = rows[0]['QUERY PLAN'][0].Plan
    const nodes = flatten(plan)
    const indexes = nodes.flatMap((node) => node['Index Name']?.replace(/^audit_entry_\d+_/, 'audit_entry_') ?? [])
    const scanned = nodes.filter((node) => node['Node Type'] === 'Seq Scan').map((node) => node['Relation Name'] ?? '')
    return {
      pages: plan['Shared Hit Blocks'] + plan['Shared Read Blocks'],
      rows: plan['Actual Rows'],
      indexes: [...new Set(indexes)],
      wholeTables: scanned.filter((table) => table !== 'audit_log_state'),
    }
  } finally {
    await sql.query('rollback')
  }
}

const none: EventFilter = {
  type: undefined,
  severity: undefined,
  actorId: undefined,
  deviceId: undefined,
  from: undefined,
  to: undefined,
}
const secondsLater = (seconds: number) => begin + 1_000 * seconds
const actor = '00000000-0000-4000-9000-000000000005'
const nobody = '00000000-0000-4000-9000-000000009999'

const lists: [string, Partial<EventFilter>, string, number][] = [
  ['nothing', {}, 'audit_entry_organization_id_index_idx', 51],
  ['a type', { type: 'rare.type' }, 'audit_entry_type_organization_id_index_idx', 51],
  ['a type that nobody has', { type: 'no.type' }, 'audit_entry_type_organization_id_index_idx', 0],
  ['the severity info', { severity: 'info' }, 'audit_entry_organization_id_index_idx', 51],
  ['the severity notice', { severity: 'notice' }, 'audit_entry_severity_organization_id_index_idx', 51],
  ['the severity critical', { severity: 'critical' }, 'audit_entry_severity_organization_id_index_idx', 51],
  ['an actor', { actorId: actor }, 'audit_entry_actor_id_organization_id_index_idx', 51],
  ['an actor who did nothing', { actorId: nobody }, 'audit_entry_actor_id_organization_id_index_idx', 0],
  ['a device', { deviceId: device }, 'audit_entry_device_id_organization_id_index_idx', 51],
  ['a device to which nothing came', { deviceId: nobody }, 'audit_entry_device_id_organization_id_index_idx', 0],
  ['a device and a type', { deviceId: device, type: 'x.y' }, 'audit_entry_device_id_organization_id_index_idx', 0],
  ['a time from which on', { from: secondsLater(90_000) }, 'audit_entry_organization_id_index_idx', 51],
]

describe('a page of events', () => {
  test.each(lists)('by %s is read in the order of its index, and no more of it than is shown', async (...row) => {
    const [_what, filter, index, rows] = row
    for (const page of [
      { order: 'newest', after: undefined },
      { order: 'newest', after: 97_000 },
      { order: 'oldest', after: undefined },
      { order: 'oldest', after: 2_000 },
    ] as const) {
      // From a time on, the oldest are looked for within the partition of that time: see below.
      if (filter.from !== undefined && page.order === 'oldest') continue
      const query = await sentBy((tx) => listEvents(tx, { ...none, ...filter, ...page, organizationId, limit: 51 }))
      const read = await run(query)
      expect(read, JSON.stringify(page)).toMatchObject({ indexes: [index], wholeTables: [], rows })
      expect(read.pages, JSON.stringify(page)).toBeLessThan(250)
    }
  })

  test('of a small organization in a large log is no more work', async () => {
    const small = '00000000-0000-4000-a000-000000000000'
    const query = await sentBy((tx) =>
      listEvents(tx, { ...none, organizationId: small, order: 'newest', limit: 51, after: undefined }),
    )
    const read = await run(query)
    expect(read.indexes).toEqual(['audit_entry_organization_id_index_idx'])
    expect(read.pages).toBeLessThan(250)
  })

  test.each<[string, Partial<EventFilter>]>([
    ['a minute', { from: secondsLater(50_000), to: secondsLater(50_060) }],
    ['the very beginning', { to: secondsLater(100) }],
    ['what came before the last day', { to: secondsLater(13_600) }],
  ])(
    'between times, here %s, is read of its own entries in the partitions of that time alone',
    async (_what, filter) => {
      for (const order of ['newest', 'oldest'] as const) {
        const page = { ...none, ...filter, organizationId, order, limit: 51, after: undefined }
        const read = await run(await sentBy((tx) => listEvents(tx, page)))
        expect(read).toMatchObject({ indexes: ['audit_entry_organization_id_index_idx'], wholeTables: [] })
        expect(read.pages).toBeLessThan(3 * (PARTITION / 12))
      }
    },
  )
})

describe('of a log of 100,000 entries', () => {
  test.each<[string, (tx: Tx) => Promise<unknown>, string, number]>([
    ['an entry', (tx) => findEntry(tx, 77_777), 'audit_entry_pkey', 20],
    ['where an event stands', (tx) => findEventIndex(tx, randomUUID()), 'audit_event_id_pkey', 10],
    ['a page of an export', (tx) => listEntries(tx, { start: 70_000, end: 71_024 }), 'audit_entry_pkey', 200],
    [
      'what is one’s own of it',
      (tx) => listOwnIndexes(tx, { start: 70_000, end: 71_024 }),
      'audit_event_id_index_key',
      50,
    ],
  ])('%s is found by its index', async (_what, read, index, pages) => {
    const found = await run(await sentBy(read))
    expect(found).toMatchObject({ indexes: [index], wholeTables: [] })
    expect(found.pages).toBeLessThan(pages)
  })

  test('what is missing is looked for in the range alone', async () => {
    const found = await run(await sentBy((tx) => findMissingEvents(tx, { start: 70_000, end: 71_024 })))
    expect(found).toMatchObject({ rows: 0, wholeTables: [] })
    expect(found.pages).toBeLessThan(100)
  })

  test('tiles are found by theirs, however many there are, in a transaction and at once', async () => {
    const places = [0, 3, 77, 150, 389].map((tile) => ({ level: 0, tile }))
    const queries = [await sentBy((tx) => readTiles(tx, places))]
    queries.push(...(await sentAtOnce((recording) => readTilesAtOnce(recording, places))))
    expect(queries).toHaveLength(2)
    for (const query of queries) {
      const found = await run(query)
      expect(found).toMatchObject({ indexes: ['audit_tile_pkey'], wholeTables: [] })
      expect(found.pages).toBeLessThan(200)
    }
  })

  test('what a proof begins with is found by its ids', async () => {
    const queries = await sentAtOnce((recording) => findForProof(recording, organizationId, randomUUID()))
    expect(queries).toHaveLength(3)
    for (const query of queries) {
      const found = await run(query)
      expect(found.wholeTables.filter((table) => table === 'audit_event_id')).toEqual([])
      expect(found.pages).toBeLessThan(20)
    }
  })

  test('the sequencer takes the oldest of a full outbox, and knows what is logged, by index', async () => {
    const [outbox] = await sentAtOnce((recording) => listOutbox(recording, 256))
    const taken = await run(outbox as Statement, 'qflare_sequencer')
    expect(taken).toMatchObject({ indexes: ['audit_outbox_seq'], wholeTables: [], rows: 256 })
    expect(taken.pages).toBeLessThan(100)
    const ids = Array.from({ length: 256 }, () => randomUUID())
    const [logged] = await sentAtOnce((recording) => findLoggedEvents(recording, ids))
    const known = await run(logged as Statement, 'qflare_sequencer')
    expect(known).toMatchObject({ indexes: ['audit_event_id_pkey'], wholeTables: [] })
    expect(known.pages).toBeLessThan(1_000)
  })
})
