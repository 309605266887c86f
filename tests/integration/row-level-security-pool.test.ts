import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import {
  askInterleaved,
  failAndLookAgain,
  makeOrganizations,
  type Organization,
} from '../support/interleaved-organizations.ts'

let database: TestDatabase
let organizations: Organization[]

beforeAll(async () => {
  database = await createTestDatabase()
  organizations = await makeOrganizations(database.sql)
})
afterAll(() => database.drop())

test('1,000 interleaved requests of ten organizations over two connections see no foreign row, though some fail', async () => {
  const api = database.open('qflare_api', 2)
  expect(await askInterleaved(api, organizations)).toEqual([])
  expect(api.connections().total).toBe(2)
})

test('a failure inside withOrganization leaves nothing for the next borrower of the connection', async () => {
  await failAndLookAgain(database.open('qflare_api', 1), organizations, database.sql)
})
