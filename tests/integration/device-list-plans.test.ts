import { randomUUID } from 'node:crypto'
import { Kysely, type LogEvent, PostgresDialect } from 'kysely'
import { Pool } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Tx } from '../../database/open.ts'
import { listEnrollmentTokens } from '../../database/repositories/enrollment-tokens.ts'
import { listPrincipals, type PrincipalFilter } from '../../database/repositories/list-principals.ts'
import type { Tables } from '../../database/tables.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

/** How PostgreSQL answers the lists of a large fleet, behind row-level security. What has no index, and why, is in migration 0006. */

const DEVICES = 12_000

let database: TestDatabase
let api: Kysely<Tables>
let pool: Pool
const sent: string[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  const organizationId = randomUUID()
  const client = database.sql
  for (const [id, count] of [
    [organizationId, DEVICES],
    [randomUUID(), DEVICES / 3],
  ] as const) {
    await client.query('insert into organization (id, name, created_at) values ($1, $2, now())', [id, `fleet ${id}`])
    // One in a hundred is a coordinator, suspended, of a rare type; one in ten is revoked.
    await client.query(
      `insert into principal (organization_id, id, kind, name, type, capabilities, status, spiffe_id, metadata, created_at,
          last_seen_at, revoked_at)
        select $1, gen_random_uuid(), case when i % 100 = 7 then 'coordinator' else 'device' end::principal_kind,
          'device ' || i, case when i % 100 = 3 then 'rare' else 'common' end, '{cuda}',
          case when i % 100 = 5 then 'SUSPENDED' when i % 10 = 1 then 'REVOKED' else 'ACTIVE' end::principal_status,
          'spiffe://test.example/' || i, '{}', now(), now() - i * interval '1 minute', case when i % 10 = 1 then now() end
        from generate_series(1, $2) as i`,
      [id, count],
    )
    await client.query(
      `insert into identity_key (organization_id, kid, principal_id, alg, public_key, status, mac, mac_key_version, created_at,
          rotation_due_since)
        select organization_id, id::text, id, 'ML-DSA-44', '', 'ACTIVE', sha256(''), 1, now(),
          case when name like '%77' then now() end from principal where organization_id = $1`,
      [id],
    )
    await client.query(
      `insert into enrollment_token (organization_id, id, kind, policy_id, secret_hash, created_at, expires_at, used_at,
          principal_id)
        select organization_id, gen_random_uuid(), kind, 'none', sha256(''), now(), now() + interval '1 day',
          case when name like '%77' then null else now() end, case when name like '%77' then null else id end
        from principal where organization_id = $1`,
      [id],
    )
  }
  await client.query('analyze principal, identity_key, enrollment_token')
  // Without its organization the planner would think that there are no rows.
  const options = `-c role=qflare_api -c qflare.organization_id=${organizationId}`
  pool = new Pool({ ...database.login, max: 1, options })
  api = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }), log })
})
afterAll(async () => {
  await api.destroy()
  await database.drop()
})

interface Plan {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Index Cond'?: string
  Plans?: Plan[]
}

/** Keeps what a repository sends, without the transaction around it. */
function log({ query }: LogEvent): void {
  if (query.sql.startsWith('select')) sent.push(query.sql)
}

/** The plan, for any values, of the last statement that a repository sends. */
async function planOf(list: (tx: Tx) => Promise<unknown>): Promise<Plan[]> {
  await api.transaction().execute(list)
  const { rows } = await pool.query(`explain (generic_plan, format json) ${sent.at(-1)}`)
  return flatten(rows[0]['QUERY PLAN'][0].Plan)
}

function flatten(plan: Plan): Plan[] {
  return [plan, ...(plan.Plans ?? []).flatMap(flatten)]
}

const none: PrincipalFilter = {
  status: undefined,
  kind: undefined,
  type: undefined,
  capability: undefined,
  name: undefined,
  namePrefix: undefined,
  lastSeenBefore: undefined,
  lastSeenAfter: undefined,
  isRotationDue: false,
}

test.each<[string, Partial<PrincipalFilter>, string]>([
  ['no filter', {}, 'principal_pkey'],
  ['status', { status: 'SUSPENDED' }, 'principal_held'],
  ['status', { status: 'REVOKED' }, 'principal_revoked'],
  ['kind', { kind: 'coordinator' }, 'principal_coordinators'],
  ['type', { type: 'rare' }, 'principal_type'],
  ['name', { name: 'device 77' }, 'principal_name'],
  ['namePrefix', { namePrefix: 'device 777' }, 'principal_name'],
  ['isRotationDue', { isRotationDue: true }, 'identity_key_due'],
])('a page of devices by %s %j is read by %s, within the organization', async (_name, filter, index) => {
  const beforeId = 'ffffffff-0000-4000-8000-000000000000'
  for (const page of [
    { limit: 51, beforeId: undefined },
    { limit: 51, beforeId },
  ]) {
    const nodes = await planOf((tx) => listPrincipals(tx, { ...none, ...filter, ...page }))
    expect(nodes.filter((node) => node['Node Type'] === 'Seq Scan')).toEqual([])
    const scan = nodes.find((node) => node['Index Name'] === index)
    expect(scan?.['Index Cond'], JSON.stringify(nodes)).toContain('organization_id')
  }
})

test('a page far down the list does not read the keys of the devices before it', async () => {
  const beforeId = '10000000-0000-4000-8000-000000000000'
  const nodes = await planOf((tx) => listPrincipals(tx, { ...none, limit: 51, beforeId }))
  const keys = nodes.find((node) => node['Relation Name'] === 'identity_key')
  expect(keys?.['Index Cond'], JSON.stringify(nodes)).toContain('principal_id')
})

test('a page of open enrolment tokens is read by its index, within the organization', async () => {
  const nodes = await planOf((tx) =>
    listEnrollmentTokens(tx, { limit: 51, beforeId: undefined, status: 'open' }, Date.now()),
  )
  expect(nodes).toContainEqual(expect.objectContaining({ 'Index Name': 'enrollment_token_unused' }))
})
