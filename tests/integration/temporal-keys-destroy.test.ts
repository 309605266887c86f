import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { BUCKET_MS, bucketAt, GRACE_MS, SKEW_MS } from '../../protocol/exchange/bucket.ts'
import type { TemporalKeyStore } from '../../runtime/temporal/temporal-key-store.ts'
import { createDestructionLimit } from '../../workers/jobs/destroy-temporal-keys.ts'
import { crypto } from '../support/service.ts'
import {
  bucket,
  epochName,
  type KeySchedule,
  keyName,
  middle,
  nameOf,
  openKeySchedule,
  range,
  start,
  unlimited,
} from '../support/temporal-keys.ts'
import { insertTenantRows, makeTenantRows, prepareTenantRows } from '../support/tenant-rows.ts'

let schedule: KeySchedule
let store: TemporalKeyStore

beforeAll(async () => {
  schedule = await openKeySchedule()
})
afterAll(() => schedule.database.drop())
beforeEach(async () => {
  ;({ store } = await schedule.begin())
})

describe('destroyTemporalKeys', () => {
  const end = start + BUCKET_MS + GRACE_MS

  test('destroys an epoch and its bucket at the end of the grace, and not a millisecond before', async () => {
    await schedule.make()
    expect((await schedule.destroy(end - 1)).destroyed).toEqual([])
    expect((await schedule.inStore()).length).toBe(18)
    expect((await schedule.destroy(end)).destroyed).toEqual([keyName(0), epochName(0)])
    expect(await schedule.inStore()).not.toContain(epochName(0))
    expect(await schedule.inStore()).not.toContain(keyName(0))
    expect((await schedule.inStore()).length).toBe(16)
    const { rows } = await schedule.database.sql.query(
      'select kind, number::int, destroyed_at from temporal_key where destroyed_at is not null order by kind',
    )
    const destroyed_at = new Date(end)
    expect(rows).toEqual([
      { kind: 'bucket', number: bucket, destroyed_at },
      { kind: 'epoch', number: bucket, destroyed_at },
    ])
    expect((await schedule.destroy(end)).destroyed).toEqual([])
  })

  test('says in one event each how, and how many sessions of all organizations lost the epoch', async () => {
    await schedule.make()
    await prepareTenantRows(schedule.database.sql)
    for (const [first, last] of [
      [0, 0],
      [-3, 2],
      [1, 4],
    ] as const) {
      const rows = makeTenantRows(randomUUID())
      Object.assign(rows.session as object, { bucket: bucket + first, last_epoch: bucket + last })
      Object.assign(rows.session as object, { chains: crypto.randomBytes(99 * (last - first + 1)) })
      await insertTenantRows(schedule.database.sql, rows)
    }
    const made = await schedule.listEvents('made')
    const hashOf = (name: string) => made.find(({ subject }) => nameOf(subject) === name)?.data.recordHash
    await schedule.destroy(end)
    const how = store.isErasable ? 'erased' : 'best-effort'
    expect((await schedule.listEvents('destroyed')).map(({ subject, data }) => [nameOf(subject), data])).toEqual([
      [keyName(0), { recordHash: hashOf(keyName(0)), how }],
      [epochName(0), { recordHash: hashOf(epochName(0)), how, sessions: 2 }],
    ])
  })

  test('says that a record on an erasable medium was erased, and that one which had vanished was observed', async () => {
    await schedule.make()
    await store.destroy({ kind: 'epoch', number: bucket, generation: 0 })
    await schedule.destroy(end, unlimited, { ...schedule.worker(), store: { ...store, isErasable: true } })
    const events = await schedule.listEvents('destroyed')
    expect(events.map(({ subject, data }) => [nameOf(subject), data.how])).toEqual([
      [keyName(0), 'erased'],
      [epochName(0), 'observed'],
    ])
  })

  test('by two workers at once destroys each key once', async () => {
    await schedule.make()
    const later = end + 3 * BUCKET_MS
    const results = await Promise.all([schedule.destroy(later), schedule.destroy(later, unlimited, schedule.worker(1))])
    const expected = [...range(0, 3).map((n) => epochName(n)), keyName(0), keyName(1)].sort()
    expect(results.flatMap(({ destroyed }) => destroyed).sort()).toEqual(expected)
    expect((await schedule.listEvents('destroyed')).map(({ subject }) => nameOf(subject)).sort()).toEqual(expected)
  })

  test('destroys every generation', async () => {
    await schedule.make()
    await store.destroy({ kind: 'bucket', number: bucket, generation: 0 })
    await schedule.make()
    expect((await schedule.destroy(end)).destroyed).toEqual([keyName(0), keyName(0, 1), epochName(0)])
    expect((await schedule.inStore()).filter((name) => name.startsWith(`bucket-${bucket}-`))).toEqual([])
  })

  test('goes on after a crash between the store and the database', async () => {
    await schedule.make()
    await expect(schedule.destroy(end, unlimited, schedule.crashingWorker())).rejects.toThrow('the process is gone')
    expect(await schedule.inStore()).not.toContain(keyName(0))
    expect((await schedule.destroy(end)).destroyed).toEqual([keyName(0), epochName(0)])
  })

  test('is final: what was destroyed is never made again, even when the clock goes back', async () => {
    await schedule.make()
    await schedule.destroy(end)
    expect(await schedule.make()).toEqual([])
    expect(await schedule.make(start - SKEW_MS)).toEqual([keyName(-1), epochName(-1)])
    expect(await schedule.inStore()).not.toContain(keyName(0))
  })
})

describe('the limit of destruction', () => {
  const minutes = (count: number) => count * 60_000

  test('allows what is overdue at the start, then one bucket per five minutes of monotonic time', () => {
    let monotonic = 12_345
    const limit = createDestructionLimit(() => monotonic, 1_000 * BUCKET_MS + GRACE_MS)
    expect(limit.allow(1_000)).toBe(1_000)
    const afterJump = 1_288
    const allowed = range(0, 3).map((five) => {
      monotonic = 12_345 + minutes(5 * five)
      return limit.allow(afterJump)
    })
    expect(allowed).toEqual([1_001, 1_002, 1_003, 1_004])
    monotonic = 12_345 + minutes(20) - 1
    expect(limit.allow(afterJump)).toBe(1_004)
  })

  test('does not take a jump before the first run for a late start', () => {
    const limit = createDestructionLimit(() => 12_345, 1_000 * BUCKET_MS + GRACE_MS)
    expect(limit.allow(1_288)).toBe(1_001)
  })

  test('never holds back a clock that runs as it should, wherever in its bucket the process started', () => {
    for (const offset of [0, 1, GRACE_MS, BUCKET_MS - 1]) {
      const begun = start + offset
      let now = begun
      const limit = createDestructionLimit(() => now - begun, begun)
      for (; now < begun + minutes(120); now += 1_999) {
        const overdue = bucketAt(now - GRACE_MS)
        expect(limit.allow(overdue)).toBe(overdue)
      }
    }
  })

  test('lets a jump of the clock by a day destroy one bucket’s keys at once, and tells that it holds back', async () => {
    await schedule.make()
    let monotonic = 0
    const limit = createDestructionLimit(() => monotonic, middle)
    expect(await schedule.destroy(middle, limit)).toEqual({ destroyed: [], isHeldBack: false })
    const tomorrow = middle + minutes(24 * 60)
    // The previous bucket is in its grace no longer: it, and nothing of the present one, is due in the next five minutes.
    expect(await schedule.destroy(tomorrow, limit)).toEqual({ destroyed: [keyName(0), epochName(0)], isHeldBack: true })
    expect(await schedule.destroy(tomorrow, limit)).toEqual({ destroyed: [], isHeldBack: true })
    monotonic = minutes(5)
    expect(await schedule.destroy(tomorrow, limit)).toEqual({ destroyed: [keyName(1), epochName(1)], isHeldBack: true })
    monotonic = minutes(10)
    expect(await schedule.destroy(tomorrow, limit)).toEqual({ destroyed: [epochName(2)], isHeldBack: true })
    expect(await schedule.inStore()).toContain(epochName(3))
    expect(await schedule.destroy(middle + minutes(10), limit)).toEqual({ destroyed: [], isHeldBack: false })
  })
})
