import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { toBase64url } from '../../protocol/encoding.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import { newId } from '../../runtime/ids.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { createSecretSearch, readWholeLog } from '../support/find-secrets.ts'
import { crypto } from '../support/service.ts'

/** What says that the log holds no secret must be able to find one in it. */

const address = '203.0.113.77'
let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

describe('the search', () => {
  const canary = crypto.randomBytes(32)
  const hidden: [string, string][] = [
    ['as it is', JSON.stringify({ a: Buffer.from(canary).toString('latin1') })],
    ['in hexadecimal', JSON.stringify({ a: Buffer.from(canary).toString('hex') })],
    ['in upper case', JSON.stringify({ a: Buffer.from(canary).toString('hex').toUpperCase() })],
    ['in base64', JSON.stringify({ a: Buffer.from(canary).toString('base64') })],
    ['in base64url', JSON.stringify({ a: toBase64url(canary) })],
    ['as numbers', JSON.stringify({ a: [...canary] })],
    ['as the name of a member', JSON.stringify({ [toBase64url(canary)]: 1 })],
    ['in part', JSON.stringify({ a: Buffer.from(canary.subarray(9, 25)).toString('hex') })],
    ...[1, 2, 3].map((offset): [string, string] => [
      `at place ${offset} of something longer`,
      JSON.stringify({ a: `key=${Buffer.concat([new Uint8Array(offset), canary]).toString('base64')}` }),
    ]),
  ]
  const search = createSecretSearch([
    { what: 'canary', value: canary },
    { what: 'address', value: address },
  ])

  /** What is found in the whole log with one more entry, which is gone again afterwards. */
  async function findPlanted(table: 'audit_outbox' | 'audit_entry', entry: string): Promise<string[]> {
    const { sql } = database
    await sql.query('begin')
    try {
      if (table === 'audit_outbox') {
        await sql.query('insert into audit_outbox (organization_id, event_id, entry) values ($1, $2, $3)', [
          NIL_UUID,
          newId(),
          entry,
        ])
      } else {
        await sql.query('select make_audit_partition(0)')
        await sql.query(
          `insert into audit_entry (index, organization_id, event_id, at, type, severity, entry)
            values (77, $1, $2, now(), 'a.b', 'info', $3)`,
          [NIL_UUID, newId(), entry],
        )
      }
      return (await readWholeLog(sql)).flatMap(search)
    } finally {
      await sql.query('rollback')
    }
  }

  test.each(hidden)('finds what is planted %s', async (_form, entry) => {
    expect(await findPlanted('audit_outbox', entry)).toContainEqual(expect.stringContaining('canary'))
  })

  test('finds an address, finds what stands in the log itself, and finds nothing where there is nothing', async () => {
    const named = await findPlanted('audit_outbox', JSON.stringify({ from: `::ffff:${address}` }))
    expect(named).toContain('address (text)')
    expect(await findPlanted('audit_entry', JSON.stringify({ a: toBase64url(canary) }))).toEqual(['canary (base64)'])
    expect(await findPlanted('audit_outbox', '{}')).toEqual([])
  })
})
