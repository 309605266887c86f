import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Database } from '../../database/open.ts'
import { listBarredDevices, listNews } from '../../database/repositories/revocation-reader.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

/** How PostgreSQL answers what is asked all the time of a large fleet: a hundred thousand devices, half of them revoked. */

let database: TestDatabase
const organizationId = randomUUID()
const [coordinatorId, federationId] = [randomUUID(), randomUUID()]

beforeAll(async () => {
  database = await createTestDatabase()
  const { sql } = database
  await sql.query(`insert into organization (id, name, created_at) values ($1, 'fleet', now())`, [organizationId])
  await sql.query(
    `insert into principal (organization_id, id, kind, name, status, spiffe_id, metadata, created_at, active_session_id,
        next_attestation_at, revoked_at)
      select $1, gen_random_uuid(), 'device', 'd', case when i % 2 = 0 then 'ACTIVE' else 'REVOKED' end::principal_status,
        'spiffe://x', '{}', now(), case when i % 2 = 0 then gen_random_uuid() end,
        timestamptz '2031-01-01' + i * interval '1 second', case when i % 2 = 1 then now() end
      from generate_series(1, 100000) as i`,
    [organizationId],
  )
  await sql.query(
    `insert into principal (organization_id, id, kind, name, status, spiffe_id, metadata, created_at)
      values ($1, $2, 'coordinator', 'c', 'ACTIVE', 'spiffe://x', '{}', now())`,
    [organizationId, coordinatorId],
  )
  await sql.query(
    `insert into federation (organization_id, id, name, policy, created_by, created_at)
      select $1, f, 'federation ' || f, 'production', $3, now()
      from unnest(array_append(array(select gen_random_uuid() from generate_series(1, 200)), $2)) as f`,
    [organizationId, federationId, coordinatorId],
  )
  await sql.query(
    `insert into federation_coordinator select organization_id, id, $2, now() from federation where id = $1`,
    [federationId, coordinatorId],
  )
  await sql.query(
    `insert into federation_member
      select organization_id, $1, id, now() from (select * from principal where kind = 'device' order by id limit 400) p
      union all select f.organization_id, f.id, p.id, now() from (select * from federation where id <> $1) f,
        lateral (select id from principal where kind = 'device' and id > f.id order by id limit 200) p`,
    [federationId],
  )
  await sql.query(`insert into revocation_feed values ($1, 50000)`, [organizationId])
  await sql.query(
    `insert into revocation select organization_id, row_number() over (), id, status, now() from principal where status = 'REVOKED'`,
  )
  await sql.query('analyze')
}, 120_000)
afterAll(() => database.drop())

/** Pages of the database that a statement touches, in the plan that every connection has for it, and what it finds. */
async function explain(role: string, text: string, values: unknown[]): Promise<{ rows: number; blocks: number }> {
  const { sql } = database
  await sql.query('begin')
  try {
    await sql.query('set local plan_cache_mode = force_generic_plan')
    await sql.query(`select set_config('qflare.organization_id', $1, true)`, [organizationId])
    await sql.query(`set local role ${role}`)
    const name = `plan_${randomUUID().replaceAll('-', '')}`
    await sql.query(`prepare ${name} as ${text}`)
    const literals = values.map((value) => `'${String(value)}'`).join(', ')
    const run = values.length === 0 ? name : `${name}(${literals})`
    const { rows } = await sql.query(`explain (analyze, buffers, format json) execute ${run}`)
    const { Plan: plan } = rows[0]['QUERY PLAN'][0]
    return { rows: plan['Actual Rows'], blocks: plan['Shared Hit Blocks'] + plan['Shared Read Blocks'] }
  } finally {
    await sql.query('rollback')
  }
}

/** The text that a repository sends, and its values. */
async function statementOf(work: (database: Database) => Promise<unknown>): Promise<[string, unknown[]]> {
  let sent: [string, unknown[]] | undefined
  const recorder = {
    async sendTransaction(_scope: unknown, [statement]: { text: string; values: unknown[] }[]) {
      sent = statement && [statement.text, statement.values]
      return ['', { rows: [] }]
    },
  } as unknown as Database
  await work(recorder)
  return sent as [string, unknown[]]
}

test('devices whose attestation is overdue are found by an index', async () => {
  const found = await explain(
    'qflare_jobs',
    `select p.organization_id, p.id from principal p
      where p.status = 'ACTIVE' and p.active_session_id is not null and p.next_attestation_at <= $1::timestamptz
      order by p.next_attestation_at limit $2::integer`,
    ['2031-01-01 00:02:00Z', 5_000],
  )
  expect(found.rows).toBe(60)
  expect(found.blocks).toBeLessThan(100)
})

test.each(['organization', 'made', 'assigned'] as const)('news of %s are read from where they go on', async (of) => {
  const scope = of === 'organization' ? { of } : { of, id: coordinatorId }
  const statement = await statementOf((recorder) =>
    listNews(recorder, organizationId, scope, { above: 49_990, to: 50_000, limit: 500 }),
  )
  const found = await explain('qflare_api', ...statement)
  expect(found.rows).toBeLessThanOrEqual(10)
  expect(found.blocks).toBeLessThan(200)
})

test.each(['organization', 'made', 'assigned'] as const)(
  'a page of who is barred, of %s, is no reading of the fleet',
  async (of) => {
    const scope = of === 'organization' ? { of } : { of, id: coordinatorId }
    const page = { afterId: '00000000-0000-0000-0000-000000000000', limit: 500 }
    const statement = await statementOf((recorder) => listBarredDevices(recorder, organizationId, scope, page))
    const found = await explain('qflare_api', ...statement)
    expect(found.rows).toBeGreaterThan(0)
    // Made of 201 federations, assigned of one.
    expect(found.blocks, `${found.blocks} pages`).toBeLessThan(of === 'assigned' ? 3_000 : 20_000)
  },
)
