import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { BUCKET_MS, GRACE_MS } from '../../protocol/exchange/bucket.ts'
import type { TemporalKeyStore } from '../../runtime/temporal/temporal-key-store.ts'
import { createTemporalKeys, type EpochKey, type TemporalKeys } from '../../server/services/temporal-keys.ts'
import { crypto } from '../support/service.ts'
import { bucket, type KeySchedule, middle, openKeySchedule, start } from '../support/temporal-keys.ts'

let schedule: KeySchedule
let store: TemporalKeyStore
const time = { now: middle }

beforeAll(async () => {
  schedule = await openKeySchedule()
})
afterAll(() => schedule.database.drop())
beforeEach(async () => {
  ;({ store } = await schedule.begin())
  time.now = middle
  await schedule.make()
})

function openCopies(ownStore: TemporalKeyStore = store): TemporalKeys {
  const database = schedule.database.open('qflare_api', 2)
  const clock = { now: () => time.now, offsetMs: () => 0, measuredAt: () => time.now, measure: async () => {} }
  const { keyring } = schedule.serviceKeys
  const copies = createTemporalKeys({ database, store: ownStore, keyring, crypto, clock })
  onTestFinished(() => copies.close())
  return copies
}
const isWiped = ({ seal, accessToken }: EpochKey) => [...seal, ...accessToken].every((byte) => byte === 0)
const wiping = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

test('a copy stays as long as its generation is the newest, and is dropped and wiped when another takes its place', async () => {
  const copies = openCopies()
  const key = (await copies.findEpochKey(bucket + 1)) as EpochKey
  const old = await copies.findBucketKey('ML-KEM-1024', bucket)
  await copies.dropReplaced()
  expect(await copies.findEpochKey(bucket + 1)).toBe(key)
  expect(isWiped(key)).toBe(false)

  await store.destroy({ kind: 'epoch', number: bucket + 1, generation: 0 })
  await store.destroy({ kind: 'bucket', number: bucket, generation: 0 })
  await copies.dropReplaced()
  expect(await copies.findEpochKey(bucket + 1)).toBe(key)
  await schedule.make()
  await copies.dropReplaced()
  await wiping()
  expect(isWiped(key)).toBe(true)
  expect(await copies.findEpochKey(bucket + 1)).toMatchObject({ generation: 1 })
  const fresh = await copies.findBucketKey('ML-KEM-1024', bucket)
  expect(fresh).toMatchObject({ generation: 1 })
  expect(fresh?.certificate.publicKey).not.toEqual(old?.certificate.publicKey)
})

test('a copy of a key that another process destroyed goes, also before the own clock says so', async () => {
  const copies = openCopies()
  const key = (await copies.findEpochKey(bucket)) as EpochKey
  await schedule.destroy(start + BUCKET_MS + GRACE_MS)
  await copies.dropReplaced()
  await wiping()
  expect(isWiped(key)).toBe(true)
  expect(await copies.findEpochKey(bucket)).toBeUndefined()
  expect(await copies.findBucketKey('ML-KEM-1024', bucket)).toBeUndefined()
})

test('keys of which one ended while another was read are not given out: nothing is sealed under what is left of it', async () => {
  const reading = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const copies = openCopies({
    ...store,
    async find(name) {
      if (name.number === bucket + 2) {
        reading.resolve()
        await goOn.promise
      }
      return store.find(name)
    },
  })
  await copies.findEpochKey(bucket)
  time.now = start + BUCKET_MS + GRACE_MS - 1
  const asked = copies.getEpochKeys(bucket, bucket + 2)
  await reading.promise
  time.now += 1
  copies.dropEnded()
  await wiping()
  goOn.resolve()
  await expect(asked).rejects.toMatchObject({ code: 'unavailable' })
})

test('a private key that a request still used when its time was over goes when that is done', async () => {
  const copies = openCopies()
  const held = { key: (await copies.findBucketKey('ML-KEM-1024', bucket))?.key }
  const left = new WeakRef(held.key as object)
  time.now = start + BUCKET_MS + GRACE_MS
  // The copies look once a second: twice, at least.
  await sleep(3_000)
  expect(left.deref()).toBe(held.key)
  held.key = undefined
  await vi.waitFor(() => expect(left.deref() === undefined).toBe(true), { timeout: 10_000, interval: 500 })
})
