import { afterAll, beforeAll, expect, test } from 'vitest'
import { tables } from '../architecture/markdown.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const rows = tables('docs/operations.md').find(({ heading }) => heading === 'What grows, and what ends it')?.rows ?? []

test('docs/operations.md says of every table what makes it grow and what ends a row', async () => {
  const { rows: found } = await database.sql.query<{ name: string }>(
    `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
      and not relispartition order by relname`,
  )
  expect(rows.map(([name]) => name)).toEqual(found.map(({ name }) => `\`${name}\``))
  expect(rows.filter((cells) => cells.length !== 3 || cells.some((cell) => cell === ''))).toEqual([])
})
