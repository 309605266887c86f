import { randomBytes, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Database, Statement } from '../../database/open.ts'
import { toParameter } from '../../database/parameters.ts'
import { activateSession, insertPendingSession } from '../../database/repositories/exchange-changes.ts'
import { findExchangeParty } from '../../database/repositories/exchanges.ts'
import { findAttestingParty } from '../../database/repositories/reattestations.ts'
import { BUCKET_MS, bucketAt } from '../../protocol/exchange/bucket.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

// A new day's partition has no statistics yet: the planner must find the device's own sessions all the same.

const OTHERS = 10_000
const now = Date.UTC(2031, 4, 6, 12)
const bucket = bucketAt(now)
const organizationId = randomUUID()
const deviceId = randomUUID()
const change = { organizationId, eventId: randomUUID(), entry: '{}' }
let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
  const { sql } = database
  await sql.query(`select make_session_partition('2031-05-06')`)
  await sql.query(`insert into organization (id, name, created_at) values ($1, 'plans', now())`, [organizationId])
  await sql.query(`insert into directory (id, organization_id) values ($1, $2)`, [deviceId, organizationId])
  await sql.query(
    `insert into principal (organization_id, id, kind, name, status, spiffe_id, metadata, created_at)
      values ($1, $2, 'device', 'a device', 'ACTIVE', 'spiffe://test/device', '{}', now())`,
    [organizationId, deviceId],
  )
  await sql.query(
    `insert into identity_key (organization_id, kid, principal_id, alg, public_key, status, mac, mac_key_version, created_at)
      values ($1, 'kid', $2, 'ML-DSA-44', $3, 'ACTIVE', $4, 1, now())`,
    [organizationId, deviceId, randomBytes(1312), randomBytes(32)],
  )
  await sql.query(
    `insert into session (organization_id, id, principal_id, state, suite, bucket, last_epoch, created_at, expires_at,
        confirmed_at, chains, confirmation_hash)
      select $1, (substr($2::text, 1, 14) || '8' || substr(gen_random_uuid()::text, 16))::uuid, gen_random_uuid(), 'ACTIVE',
        'ML-KEM-1024', $3, $3, now(), now(), now(), decode(repeat('00', 99), 'hex'), decode(repeat('00', 32), 'hex')
      from generate_series(1, ${OTHERS})`,
    [organizationId, makeSessionId(), bucket],
  )
}, 60_000)

afterAll(() => database.drop())

/** A UUIDv8 of the bucket. */
function makeSessionId(): string {
  const time = (bucket * BUCKET_MS).toString(16).padStart(12, '0')
  return `${time.slice(0, 8)}-${time.slice(8)}-8${randomUUID().slice(15)}`
}

/** The statements that a repository function sends, which are not run. */
async function statementsOf(send: (database: Database) => Promise<unknown>): Promise<Statement[]> {
  let sent: readonly Statement[] = []
  const recording: Pick<Database, 'sendTransaction'> = {
    async sendTransaction(_scope, statements) {
      sent = statements
      return ['']
    },
  }
  await send(recording as Database)
  return [...sent]
}

/** Pages that a statement touches, under the settings and the role of the API. */
async function pagesOf({ text, values }: Statement): Promise<number> {
  const { sql } = database
  await sql.query('begin')
  try {
    await sql.query('set local plan_cache_mode = force_generic_plan')
    await sql.query('set local role qflare_api')
    await sql.query(`select set_config('qflare.organization_id', $1, true)`, [organizationId])
    const name = `plan_${randomUUID().replaceAll('-', '')}`
    await sql.query(`prepare ${name} as ${text}`)
    const literals = values.map(toLiteral).join(', ')
    const { rows } = await sql.query(`explain (analyze, buffers, format json) execute ${name}(${literals})`)
    const { Plan: plan } = rows[0]['QUERY PLAN'][0]
    return plan['Shared Hit Blocks'] + plan['Shared Read Blocks']
  } finally {
    await sql.query('rollback')
  }
}

function toLiteral(value: unknown): string {
  const parameter = toParameter(value)
  if (parameter === null) return 'null'
  return `'${typeof parameter === 'string' ? parameter : `\\x${parameter.toString('hex')}`}'`
}

const read = { id: deviceId, activeSessionId: undefined, pendingSessionIds: [], keyGeneration: 1 }

test('reading a device and its sessions touches few pages, however many sessions others have', async () => {
  const statements = await statementsOf((recording) => findExchangeParty(recording, deviceId, makeSessionId(), now))
  expect(statements).toHaveLength(2)
  for (const statement of statements) expect(await pagesOf(statement), statement.name).toBeLessThan(20)
})

test('reading who attests and what is expected of it touches few pages, however much is expected of others', async () => {
  await database.sql.query(
    `insert into reference_value (organization_id, id, format, name, body, body_hash, mac, mac_key_version, created_at)
      select $1, gen_random_uuid(), 'tpm2', 'release ' || n, '{}', sha256(n::text::bytea), $2, 1, now()
      from generate_series(1, ${OTHERS}) n`,
    [organizationId, randomBytes(32)],
  )
  await database.sql.query(
    `insert into appraisal_policy (organization_id, name, version, body, mac, mac_key_version, created_at)
      select $1, 'edge', n, '{"evidence":{"tpm2":{"referenceValues":["release 7"],"rules":{}}}}', $2, 1, now()
      from generate_series(1, 100) n`,
    [organizationId, randomBytes(32)],
  )
  await database.sql.query(`update principal set policy_id = 'edge' where id = $1`, [deviceId])
  const caller = { organizationId, id: deviceId }
  const statements = await statementsOf((recording) => findAttestingParty(recording, caller, Date.now()))
  expect(statements).toHaveLength(6)
  for (const statement of statements) expect(await pagesOf(statement), statement.name).toBeLessThan(30)
})

test('opening an exchange touches few pages, however many sessions others have', async () => {
  const session = {
    id: makeSessionId(),
    suite: 'ML-KEM-1024' as const,
    bucket,
    lastEpoch: bucket,
    createdAt: now,
    expiresAt: now,
    chains: new Uint8Array(99),
    confirmationHash: new Uint8Array(32),
  }
  const opening = { read, keptIds: [], timedOutIds: [], session, events: [{ ...change, entry: 'opened' }] }
  const statements = await statementsOf((recording) => insertPendingSession(recording, organizationId, opening))
  expect(statements).toHaveLength(1)
  expect(await pagesOf(statements[0] as Statement)).toBeLessThan(60)
})

test('confirming an exchange touches few pages, however many sessions others have', async () => {
  const sessionId = makeSessionId()
  await database.sql.query(
    `insert into session (organization_id, id, principal_id, state, suite, bucket, last_epoch, created_at, expires_at, chains,
        confirmation_hash)
      values ($1, $2, $3, 'PENDING', 'ML-KEM-1024', $4, $4, now(), now(), $5, $6)`,
    [organizationId, sessionId, deviceId, bucket, new Uint8Array(99), new Uint8Array(32)],
  )
  const nothing = { supersededId: undefined, timedOutIds: [], pendingSessionIds: [], nextAttestationAt: undefined }
  const confirming = { read, sessionId, ...nothing, now }
  const statements = await statementsOf((recording) =>
    activateSession(recording, organizationId, { ...confirming, events: [{ ...change, entry: 'confirmed' }] }),
  )
  expect(statements).toHaveLength(1)
  expect(await pagesOf(statements[0] as Statement)).toBeLessThan(60)
})
