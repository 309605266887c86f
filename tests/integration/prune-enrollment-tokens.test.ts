import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import {
  KEEP_UNUSED_TOKENS_MS,
  type PruneEnrollmentTokensParts,
  pruneEnrollmentTokens,
} from '../../workers/jobs/prune-enrollment-tokens.ts'
import { call, createToken, enrollTestDevice, startEnrollment } from '../support/api.ts'
import { startTestService, type TestService } from '../support/service.ts'
import { makeTenant, type Tenant } from '../support/tenants.ts'

let service: TestService
let tenant: Tenant
let parts: PruneEnrollmentTokensParts
/** When tokens of now have long ended. */
let due: number

beforeAll(async () => {
  service = await startTestService()
  tenant = await makeTenant(service, 'other')
  const database = service.database.open('qflare_worker')
  parts = { database, writeEvent: service.log.options.writeEvent }
  due = service.time.now + 400 * 86_400_000
})
afterAll(() => service.close())
beforeEach(async () => {
  await pruneEnrollmentTokens(parts, due)
  await service.database.sql.query('truncate audit_outbox')
})

async function left(table: string, ids: readonly string[]): Promise<string[]> {
  const { rows } = await service.database.sql.query(`select id from ${table} where id = any ($1) order by id`, [ids])
  return rows.map(({ id }) => id)
}

async function events(): Promise<number[]> {
  const { rows } = await service.database.sql.query(`select entry::jsonb -> 'data' ->> 'tokens' as tokens
    from audit_outbox where entry::jsonb ->> 'type' = 'enrollment_tokens.pruned' order by seq`)
  return rows.map(({ tokens }) => Number(tokens))
}

test('a token that nobody used goes 90 days after its end, with its challenge and its place in the directory, and not before', async () => {
  const { id, credential } = await createToken(service)
  await startEnrollment(service, credential)
  const { rows } = await service.database.sql.query('select expires_at from enrollment_token where id = $1', [id])
  const ended = Number(new Date(rows[0].expires_at)) + KEEP_UNUSED_TOKENS_MS
  expect(await pruneEnrollmentTokens(parts, ended)).toBe(0)
  expect(await pruneEnrollmentTokens(parts, ended + 1)).toBe(1)
  for (const table of ['enrollment_token', 'challenge', 'directory']) expect(await left(table, [id]), table).toEqual([])
  expect(await events()).toEqual([1])
  const answer = await call(service, 'POST', '/v1/enrollments', { body: { token: credential } })
  expect(answer).toMatchObject({ status: 401, body: { code: 'enrollment_refused' } })
})

test('one that was used stays, and its device too; one that was revoked goes by the time of that', async () => {
  const { deviceId } = await enrollTestDevice(service)
  const { id } = await createToken(service)
  await call(service, 'DELETE', `/v1/enrollment-tokens/${id}`, { token: service.adminToken })
  const revokedAt = service.time.now
  expect(await pruneEnrollmentTokens(parts, revokedAt + KEEP_UNUSED_TOKENS_MS + 1)).toBe(1)
  expect(await pruneEnrollmentTokens(parts, due)).toBe(0)
  expect(await left('directory', [deviceId])).toEqual([deviceId])
  const { rows } = await service.database.sql.query('select used_at from enrollment_token where principal_id = $1', [
    deviceId,
  ])
  expect(rows).toHaveLength(1)
})

test('each organization’s go once, with an event of its own, though two workers do it', async () => {
  for (const of of [service, tenant, tenant]) await createToken(of)
  const other = { ...parts, database: service.database.open('qflare_worker') }
  const [one, two] = await Promise.all([pruneEnrollmentTokens(parts, due), pruneEnrollmentTokens(other, due)])
  expect(one + two).toBe(3)
  expect((await events()).toSorted((a, b) => a - b)).toEqual([1, 2])
})

test('nothing is gone when the event cannot be stored', async () => {
  const { sql } = service.database
  const { id } = await createToken(service)
  await sql.query('revoke insert on audit_outbox from qflare_worker')
  try {
    await expect(pruneEnrollmentTokens(parts, due)).rejects.toMatchObject({ code: 'event_refused' })
  } finally {
    await sql.query('grant insert on audit_outbox to qflare_worker')
  }
  for (const table of ['enrollment_token', 'directory']) expect(await left(table, [id]), table).toEqual([id])
})

test('a worker forgets no entry of the directory that is another organization’s', async () => {
  const { deviceId } = await enrollTestDevice(service)
  const { sql } = service.database
  await sql.query('begin')
  try {
    await sql.query(`select set_config('qflare.organization_id', $1, true)`, [tenant.organizationId])
    await sql.query('set local role qflare_worker')
    await sql.query('select forget_directory_entries($1)', [[deviceId]])
    expect((await sql.query('select from directory where id = $1', [deviceId])).rowCount).toBe(1)
    await expect(sql.query('delete from directory')).rejects.toMatchObject({ code: '42501' })
  } finally {
    await sql.query('rollback')
  }
})
