import { afterAll, beforeAll, expect, test } from 'vitest'
import { readStoredKeys } from '../../operations/open-custody.ts'
import { readServiceKeys } from '../../workers/open-service-keys.ts'
import { type KeySchedule, openKeySchedule } from '../support/temporal-keys.ts'

let schedule: KeySchedule
beforeAll(async () => {
  schedule = await openKeySchedule()
})
afterAll(() => schedule.database.drop())

test('after more rotations than a page has bundles the newest bundle is still what keys are held against', async () => {
  const { database } = schedule
  await database.sql.query(`insert into trust_bundle (sequence, body, created_at)
    select n, jsonb_set(body, '{sequence}', to_jsonb(n)), created_at from trust_bundle, generate_series(2, 1005) n`)
  const worker = database.open('qflare_worker', 1)
  for (const read of [readServiceKeys, readStoredKeys]) {
    const { trust } = await read(worker)
    expect(trust).toHaveLength(1005)
    expect(trust.at(-1)?.sequence).toBe(1005)
  }
})
