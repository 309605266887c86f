import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { TemporalKeyStore } from '../../runtime/temporal/temporal-key-store.ts'
import { destroyUnknownRecords } from '../../workers/jobs/destroy-unknown-records.ts'
import { bucket, epochName, type KeySchedule, middle, nameOf, openKeySchedule } from '../support/temporal-keys.ts'

let schedule: KeySchedule
let store: TemporalKeyStore
const unknown = { kind: 'epoch', number: bucket + 3, generation: 0 } as const

beforeAll(async () => {
  schedule = await openKeySchedule()
})
afterAll(() => schedule.database.drop())
beforeEach(async () => {
  ;({ store } = await schedule.begin())
  await store.makeOnce(unknown, Buffer.from('of a time that was taken back'))
})

const destroyed = async () => (await schedule.listEvents('unknown_destroyed')).map(({ subject }) => nameOf(subject))

test('a record that no row names is destroyed with an event, and its name is free for the schedule', async () => {
  expect(await destroyUnknownRecords(schedule.worker(), middle)).toEqual([unknown])
  expect(await destroyUnknownRecords(schedule.worker(), middle)).toEqual([])
  expect(await destroyed()).toEqual([epochName(3)])
  expect(await schedule.make()).toContain(epochName(3))
})

test('a crash before its event leaves the record for the next start', async () => {
  await expect(destroyUnknownRecords(schedule.crashingWorker(), middle)).rejects.toThrow('the process is gone')
  expect(await schedule.inStore()).toEqual([epochName(3)])
  expect(await destroyUnknownRecords(schedule.worker(), middle)).toEqual([unknown])
  expect(await destroyed()).toEqual([epochName(3)])
})

test('a crash between event and destruction is told once more, and the record is gone', async () => {
  const crashing = { ...store, destroy: () => Promise.reject(new Error('the process is gone')) }
  await expect(destroyUnknownRecords({ ...schedule.worker(), store: crashing }, middle)).rejects.toThrow('is gone')
  expect(await destroyed()).toEqual([epochName(3)])
  expect(await destroyUnknownRecords(schedule.worker(), middle)).toEqual([unknown])
  expect(await schedule.inStore()).toEqual([])
})
