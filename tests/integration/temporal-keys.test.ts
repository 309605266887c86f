import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { toBase64url } from '../../protocol/encoding.ts'
import { BUCKET_MS, bucketCertificateBytes, SKEW_MS } from '../../protocol/exchange/bucket.ts'
import { signatureContexts } from '../../protocol/suites.ts'
import type { TemporalKeyStore } from '../../runtime/temporal/temporal-key-store.ts'
import { openTemporalRecord, sealTemporalRecord } from '../../runtime/temporal/temporal-record.ts'
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
} from '../support/temporal-keys.ts'

let schedule: KeySchedule
let folder: string
let store: TemporalKeyStore

beforeAll(async () => {
  schedule = await openKeySchedule()
})
afterAll(() => schedule.database.drop())
beforeEach(async () => {
  ;({ folder, store } = await schedule.begin())
})

describe('makeTemporalKeys', () => {
  const all = [...range(0, 15).map((n) => epochName(n)), ...range(0, 1).map((n) => keyName(n))].sort()

  test('makes the keys of 16 epochs and 2 buckets, each with a record, a row and an event', async () => {
    expect(await schedule.make()).toEqual(all)
    expect(await schedule.inStore()).toEqual(all)
    const events = await schedule.listEvents('made')
    expect(events.map(({ subject }) => nameOf(subject)).sort()).toEqual(all)
    for (const { subject, data } of events) {
      const record = (await store.find(subject)) as Uint8Array
      expect(data).toEqual({ recordHash: toBase64url(crypto.hash256(record)) })
      const secret = await openTemporalRecord(schedule.serviceKeys.keyring, subject, record)
      expect(secret.length).toBe(subject.kind === 'epoch' ? 32 : 64)
    }
  })

  test('makes nothing when it runs again, in this bucket or before its last 30 s', async () => {
    await schedule.make()
    expect(await schedule.make()).toEqual([])
    expect(await schedule.make(start)).toEqual([])
    expect(await schedule.make(start + BUCKET_MS - SKEW_MS - 1)).toEqual([])
  })

  test('makes the keys of one more epoch and bucket as soon as the next bucket is open', async () => {
    await schedule.make()
    expect(await schedule.make(start + BUCKET_MS - SKEW_MS)).toEqual([keyName(2), epochName(16)])
    expect(await schedule.make(start + BUCKET_MS)).toEqual([])
  })

  test('certifies each bucket key with the bucket signer, for exactly its bucket', async () => {
    await schedule.make()
    const { rows } = await schedule.database.sql.query('select * from bucket_certificate order by bucket')
    expect(rows.map((row) => [Number(row.bucket), row.generation])).toEqual([
      [bucket, 0],
      [bucket + 1, 0],
    ])
    const signer = crypto.importVerificationKey('ML-DSA-44', schedule.serviceKeys.bucketSigner.publicKey)
    for (const row of rows) {
      const notBefore = Number(row.bucket) * BUCKET_MS
      const { suite, kid, public_key: publicKey } = row
      const body = { suite, bucket: Number(row.bucket), notBefore, notAfter: notBefore + BUCKET_MS, kid, publicKey }
      expect(signer.verify(bucketCertificateBytes(body), signatureContexts.bucket, row.signature)).toBe(true)
      const name = { kind: 'bucket', number: body.bucket, generation: 0 } as const
      const seed = await openTemporalRecord(schedule.serviceKeys.keyring, name, (await store.find(name)) as Uint8Array)
      expect(Buffer.from(crypto.importDecapsulationKey(suite, seed).encapsulationKey)).toEqual(publicKey)
    }
  })

  test('by three workers at once makes one set', async () => {
    const made = await Promise.all([
      schedule.make(),
      schedule.make(middle, schedule.worker(1)),
      schedule.make(middle, schedule.worker(2)),
    ])
    expect(made.flat().sort()).toEqual(all)
    expect(await schedule.inStore()).toEqual(all)
    expect((await schedule.listEvents('made')).map(({ subject }) => nameOf(subject)).sort()).toEqual(all)
  })

  test('records a key whose maker crashed before it was recorded, instead of making another', async () => {
    await expect(schedule.make(middle, schedule.crashingWorker())).rejects.toThrow('the process is gone')
    const [orphan] = await schedule.inStore()
    const record = await store.find({ kind: 'epoch', number: bucket, generation: 0 })
    expect([orphan, await schedule.make()]).toEqual([epochName(0), all])
    expect(await store.find({ kind: 'epoch', number: bucket, generation: 0 })).toEqual(record)
  })

  test('begins the next generation of a key whose record was lost, with its own certificate and event', async () => {
    await schedule.make()
    await store.destroy({ kind: 'bucket', number: bucket, generation: 0 })
    await store.destroy({ kind: 'epoch', number: bucket + 3, generation: 0 })
    expect(await schedule.make()).toEqual([keyName(0, 1), epochName(3, 1)].sort())
    const events = (await schedule.listEvents('made')).slice(-2)
    expect(events.map(({ subject }) => nameOf(subject))).toEqual([keyName(0, 1), epochName(3, 1)])
    const { rows } = await schedule.database.sql.query(
      'select generation, public_key from bucket_certificate where bucket = $1 order by generation',
      [bucket],
    )
    expect(rows.map(({ generation }) => generation)).toEqual([0, 1])
    expect(rows[0].public_key).not.toEqual(rows[1].public_key)
    expect(await schedule.make()).toEqual([])
  })

  test.each(['other bytes', 'the record of another key', 'an earlier record of its own'])(
    'never uses a record that was swapped in the store for %s',
    async (swap) => {
      await schedule.make()
      const name = { kind: 'bucket', number: bucket, generation: 0 } as const
      const swapped = {
        'other bytes': crypto.randomBytes(99),
        'the record of another key': (await store.find({ ...name, number: bucket + 1 })) as Uint8Array,
        'an earlier record of its own': sealTemporalRecord(schedule.serviceKeys.keyring, name, crypto.randomBytes(64)),
      }[swap]
      await writeFile(join(folder, keyName(0)), swapped as Uint8Array)
      expect(await schedule.make()).toEqual([keyName(0, 1)])
      expect(await store.find({ ...name, generation: 1 })).not.toEqual(swapped)
    },
  )
})
