import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { claimDatabase } from '../../database/claim-database.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const claim = (onLost: () => void = () => {}, isShared = false) => claimDatabase(database.login, isShared, onLost)
const isRefused = async () =>
  claim().then(
    async (use) => {
      await use.release()
      return false
    },
    (error: { code?: string }) => error.code === 'refused',
  )

test('a database is one process’s until it lets go', async () => {
  const use = await claim()
  expect(await isRefused()).toBe(true)
  await use.release()
  expect(await isRefused()).toBe(false)
})

/** Ends the connection that holds the claim. */
async function breakClaim(): Promise<void> {
  const client = new Client(database.superuser)
  await client.connect()
  await client.query(`select pg_terminate_backend(pid) from pg_locks join pg_stat_activity using (pid)
    where locktype = 'advisory' and granted and application_name = 'qflare_claim' and datname = current_database()`)
  await client.end()
}

async function holder(): Promise<number | undefined> {
  const { rows } = await database.sql.query<{ pid: number }>(`select pid from pg_locks join pg_stat_activity using (pid)
    where locktype = 'advisory' and granted and application_name = 'qflare_claim' and datname = current_database()`)
  return rows[0]?.pid
}

test('a hold that breaks is taken again', async () => {
  let isLost = false
  const use = await claim(() => {
    isLost = true
  })
  const before = await holder()
  await breakClaim()
  for (let tries = 0; tries < 100 && [undefined, before].includes(await holder()); tries++) await sleep(50)
  expect([undefined, before]).not.toContain(await holder())
  expect(isLost).toBe(false)
  await use.release()
})

test('a hold that is let go while it is being taken again leaves nothing behind', async () => {
  for (const waitMs of [0, 2, 5, 10, 20]) {
    const use = await claim()
    await breakClaim()
    await sleep(waitMs)
    await use.release()
    await expect.poll(isRefused, { timeout: 3_000 }).toBe(false)
    await sleep(50)
    expect(await holder()).toBeUndefined()
  }
})

test('a hold that another process took meanwhile is lost, and said to be', async () => {
  const lost = Promise.withResolvers<void>()
  await claim(() => lost.resolve())
  // It waits in the lock's queue, and so comes before whoever asks later.
  const taken = database.sql.query('select pg_advisory_lock(7236417002)')
  await sleep(200)
  await breakClaim()
  await taken
  await Promise.race([lost.promise, sleep(10_000).then(() => Promise.reject(new Error('nothing was said')))])
  await database.sql.query('select pg_advisory_unlock_all()')
})

test('a database is shared by any number of processes that keep temporal keys in Redis, and by none that keeps them in files', async () => {
  const shared = [await claim(undefined, true), await claim(undefined, true)]
  await expect(claim()).rejects.toThrow(/Temporal keys in files are of one process: .* set QFLARE_TEMPORAL_REDIS_URL/)
  await shared[0]?.release()
  expect(await isRefused()).toBe(true)
  await shared[1]?.release()
  const alone = await claim()
  await expect(claim(undefined, true)).rejects.toThrow(/keeps temporal keys in files: stop it/)
  await alone.release()
})
