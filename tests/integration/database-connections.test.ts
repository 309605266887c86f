import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

test('what waits for a connection is what there is none for, not what is about to be given one', async () => {
  const api = database.open('qflare_api', 2)
  const pause = { name: 'pause', text: 'select pg_sleep($1)', values: [0.3] }
  const asked = Array.from({ length: 4 }, () => api.sendTransaction({ organizationId: randomUUID() }, [pause]))
  expect(api.connections()).toMatchObject({ waiting: 2 })
  await Promise.all(asked)
  const alone = api.readClock()
  expect(api.connections()).toMatchObject({ waiting: 0 })
  await alone
})
