import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Database } from '../../database/open.ts'
import { listRoundCandidates } from '../../database/repositories/round-candidates.ts'
import { beginInOldWeeks } from '../support/attestation-partitions.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

/** How PostgreSQL finds results that stand in many partitions: a year of weeks, each with one of a hundred devices. */

const WEEKS = 52
const DEVICES = 100
let database: TestDatabase
const organizationId = randomUUID()
const deviceIds = Array.from({ length: DEVICES }, () => randomUUID())
const federationId = randomUUID()

beforeAll(async () => {
  database = await createTestDatabase()
  const { sql } = database
  await beginInOldWeeks(sql)
  await sql.query(`select make_attestation_partition(date '2021-03-01' + 7 * w) from generate_series(0, $1) as w`, [
    WEEKS,
  ])
  await sql.query(`insert into organization (id, name, created_at) values ($1, 'fleet', now())`, [organizationId])
  await sql.query(
    `insert into principal (organization_id, id, kind, name, status, spiffe_id, metadata, created_at)
      select $1, d, 'device', 'd', 'ACTIVE', 'spiffe://x', '{}', now() from unnest($2::uuid[]) as d`,
    [organizationId, deviceIds],
  )
  await sql.query(
    `insert into identity_key (organization_id, kid, principal_id, alg, public_key, status, mac, mac_key_version, created_at)
      select $1, d::text, d, 'ML-DSA-44', '\\x00', 'ACTIVE', decode(repeat('00', 32), 'hex'), 1, now()
      from unnest($2::uuid[]) as d`,
    [organizationId, deviceIds],
  )
  await sql.query(
    `insert into federation (organization_id, id, name, policy, created_by, created_at) values ($1, $2, 'f', 'development', $2, now())`,
    [organizationId, federationId],
  )
  await sql.query(`insert into federation_member select organization_id, $1, id, now() from principal`, [federationId])
  await sql.query(
    `insert into attestation_result (organization_id, id, principal_id, evidence_id, kid, policy_id, tier, ear, appraised_at, expires_at)
      select $1, overlay(first_id_of(date '2021-03-01' + 7 * w)::text placing right(d::text, 22) from 15)::uuid, d, d, d::text,
        'none', 'none', '', now(), now()
      from generate_series(0, $3 - 1) as w, unnest($2::uuid[]) as d`,
    [organizationId, deviceIds, WEEKS],
  )
  await sql.query('analyze')
})
afterAll(() => database.drop())

interface PlanNode {
  'Index Name'?: string
  'Actual Loops': number
  Plans?: PlanNode[]
}

/** The indexes of results that are looked into, in the plan that every connection has for a statement. */
async function listLookUps(work: (database: Database) => Promise<unknown>): Promise<string[]> {
  const sent: { text: string; values: unknown[] }[] = []
  const recorder = {
    async sendTransaction(_scope: unknown, statements: typeof sent) {
      sent.push(...statements)
      return [[], { rows: [] }]
    },
  }
  await work(recorder as unknown as Database)
  const [{ text, values }] = sent as [(typeof sent)[number]]
  const { sql } = database
  await sql.query('begin')
  try {
    await sql.query(`select set_config('qflare.organization_id', $1, true)`, [organizationId])
    await sql.query('set local role qflare_api')
    await sql.query('set local plan_cache_mode = force_generic_plan')
    await sql.query(`prepare looked as ${text}`)
    const literals = values.map((value) => `'${Array.isArray(value) ? `{${value.join(',')}}` : String(value)}'`)
    const { rows } = await sql.query(`explain (analyze, format json) execute looked(${literals.join(', ')})`)
    const found: string[] = []
    const visit = (node: PlanNode): void => {
      const name = node['Index Name'] ?? ''
      if (name.includes('attestation_result') && node['Actual Loops'] > 0) found.push(name)
      node.Plans?.forEach(visit)
    }
    visit(rows[0]['QUERY PLAN'][0].Plan)
    return found
  } finally {
    await sql.query('rollback')
  }
}

test('a round looks for the newest results from the newest week back, and no further than to the first', async () => {
  const looked = await listLookUps((recorder) =>
    listRoundCandidates(
      recorder,
      organizationId,
      { federationId, round: 1, deviceIds, limit: DEVICES },
      { epoch: 1, length: 99, now: Date.now() },
    ),
  )
  const weeks = looked.map((name) => Number(/_([0-9]{8})_/.exec(name)?.[1]))
  // That of the newest results, and the three behind it, of which two are of now.
  expect(weeks).toHaveLength(4)
  expect(Math.min(...weeks)).toBe(20_220_221)
})
