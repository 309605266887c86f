import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { describeSchema } from '../../database/describe-schema.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

const committed = join(import.meta.dirname, '..', '..', 'database', 'schema.sql')

let database: TestDatabase
let sql: TestDatabase['sql']
let migrated: string

beforeAll(async () => {
  database = await createTestDatabase()
  sql = database.sql
  migrated = await describeSchema(sql)
})
afterAll(() => database.drop())
// what a test changes ends with it
beforeEach(() => sql.query('begin'))
afterEach(() => sql.query('rollback'))

test('database/schema.sql is what the migrations make', async () => {
  expect(migrated, 'database/schema.sql is out of date: run npm run schema').toBe(await readFile(committed, 'utf8'))
})

test('the description does not change with the concrete partitions', async () => {
  await sql.query(
    `select make_session_partition('2031-05-06'), make_audit_partition(0), make_attestation_partition('2031-05-06')`,
  )
  expect(await describeSchema(sql)).toBe(migrated)
})

test.each([
  'alter table principal alter column spiffe_id drop not null',
  'alter table principal alter column name type text',
  `alter type principal_status add value 'FORGOTTEN'`,
  'alter domain display_name drop constraint display_name_check',
  `alter domain display_name set default 'x'`,
  `alter table principal alter column metadata set default '{}'`,
  'alter table principal drop constraint principal_is_sound',
  'alter table session no force row level security',
  'alter table session disable row level security',
  'alter policy tenant on principal using (true)',
  'alter policy tenant on principal to qflare_api',
  'drop policy count_epochs on session',
  'alter domain device_label drop constraint device_label_check',
  'grant insert (service_admin) on api_token to qflare_api',
  'alter function list_organizations(uuid, integer) owner to qflare_owner',
  'drop index session_epochs',
  'grant delete on evidence to qflare_worker',
  'grant update (spiffe_id) on principal to qflare_api',
  'grant execute on function make_session_partition(date) to public',
  'alter function make_session_partition(date) reset all',
  'alter table evidence owner to qflare_migrator',
  'alter policy published on audit_entry using (true)',
  'grant insert on audit_entry to qflare_api',
  'grant delete on audit_tile to qflare_sequencer',
  'grant execute on function remove_audit_entries(timestamptz) to qflare_worker',
  'drop trigger append_only on audit_entry',
  'alter table audit_tile disable trigger append_only',
  'create view open_session as select id from session',
  'create table newcomer (id uuid)',
  'create schema elsewhere',
  'grant usage on schema bullmq to qflare_api',
  'set local role qflare_owner; alter default privileges in schema bullmq grant select on tables to qflare_api; reset role',
])('the description tells: %s', async (change) => {
  await sql.query(change)
  expect(await describeSchema(sql)).not.toBe(migrated)
})
