import { randomUUID } from 'node:crypto'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { migrate } from '../../database/migrate.ts'
import { newId } from '../../runtime/ids.ts'
import { idOf } from '../support/attestation-partitions.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { insertTenantRows, makeTenantRows, type Row } from '../support/tenant-rows.ts'

/** A database of the release before results and evidence were in partitions, with a process of it that goes on. */

let database: TestDatabase
let sql: Client
let old: Client
const organizationId = randomUUID()
const { organization, principal, identity_key, evidence, attestation_result, attestation_challenge } =
  makeTenantRows(organizationId)
/** Of a clock that was years ahead. */
const strayId = idOf(Date.UTC(2041, 2, 4))

const ofPrincipal = {
  name: 'of_principal',
  text: 'select * from attestation_result where principal_id = $1 order by id',
}
const insertEvidence = {
  name: 'insert_evidence',
  text: `insert into evidence (organization_id, id, principal_id, body, received_at) values ($1, $2, $3, '[]', now())`,
}

beforeAll(async () => {
  database = await createTestDatabase()
  const name = `empty_${randomUUID().replaceAll('-', '')}`
  await database.sql.query(`create database ${name} owner qflare_owner`)
  const connection = { ...database.superuser, database: name }
  sql = new Client(connection)
  await sql.connect()
  // In the way of 0030.
  await sql.query(
    'set role qflare_owner; create function first_id_of(date) returns uuid language sql return null::uuid; reset role',
  )
  await expect(migrate(connection)).rejects.toThrow(/first_id_of.*already exists/)
  await sql.query('drop function first_id_of(date)')
  const stray = {
    evidence: { ...evidence, id: strayId, body: '["stray"]' },
    attestation_result: { ...attestation_result, id: strayId, evidence_id: strayId },
  }
  const rows = { organization, principal, identity_key, evidence, attestation_result } as Record<string, Row>
  await insertTenantRows(sql, rows)
  await insertTenantRows(sql, {
    ...stray,
    attestation_challenge: { ...attestation_challenge, ...named(strayId) },
  } as Record<string, Row>)
  old = new Client(connection)
  await old.connect()
  await old.query(`set role qflare_api; select set_config('qflare.organization_id', '${organizationId}', false)`)
  await old.query(ofPrincipal, [principal?.id])
  await old.query(insertEvidence, [organizationId, newId(), principal?.id])
  await migrate(connection)
})
afterAll(async () => {
  await old.end()
  const name = sql.database as string
  await sql.end()
  await database.sql.query(`drop database ${name} with (force)`)
  await database.drop()
})

/** What a challenge that led to a result has. */
const named = (id: string): Row => ({
  consumed_at: new Date(),
  completion_hash: Buffer.alloc(32),
  attestation_result_id: id,
})

test('every row is there, as it was, in the partition of all before or in one of its week', async () => {
  const { rows } = await sql.query('select tableoid::regclass::text as place, id from attestation_result order by id')
  expect(rows).toEqual([
    { place: 'attestation_result_before', id: attestation_result?.id },
    { place: 'attestation_result_20410304', id: strayId },
  ])
  const found = await sql.query('select tableoid::regclass::text as place, body from evidence order by id')
  expect(found.rows).toEqual([
    { place: 'evidence_before', body: '[]' },
    { place: 'evidence_before', body: '[]' },
    { place: 'evidence_20410304', body: '["stray"]' },
  ])
})

test('statements that a process of the release before has prepared go on, and see its organization alone', async () => {
  const { rows } = await old.query(ofPrincipal, [principal?.id])
  expect(rows).toMatchObject([{ id: attestation_result?.id }, { id: strayId, ear: attestation_result?.ear }])
  await old.query(insertEvidence, [organizationId, newId(), principal?.id])
  await expect(old.query(insertEvidence, [randomUUID(), newId(), principal?.id])).rejects.toMatchObject({
    code: '42501',
  })
  for (const partition of ['evidence_before', 'attestation_result_20410304']) {
    await expect(old.query(`select from ${partition}`)).rejects.toMatchObject({ code: '42501' })
  }
})

test('what was not read by the migration is in order all the same: bounds, rights and policies of a fresh schema', async () => {
  const describe = async (client: Client) =>
    (
      await client.query(`select c.conname, c.convalidated, pg_get_constraintdef(c.oid) as definition
        from pg_constraint c where conrelid in ('evidence'::regclass, 'attestation_result'::regclass,
          'evidence_before'::regclass, 'attestation_result_before'::regclass) and contype <> 'n' order by conrelid::regclass::text, conname`)
    ).rows
  expect(await describe(sql)).toEqual(await describe(database.sql))
  expect((await describe(sql)).every(({ convalidated }) => convalidated)).toBe(true)
})
