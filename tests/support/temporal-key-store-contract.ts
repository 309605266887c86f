import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { bucketAt } from '../../protocol/exchange/bucket.ts'
import type { TemporalKeyName, TemporalKeyStore } from '../../runtime/temporal/temporal-key-store.ts'
import { temporalRecordBytes } from '../../runtime/temporal/temporal-record.ts'

/** One place where records are kept, for one test. */
export interface StorePlace {
  /** Each call is another process's view of the same place. */
  open(): Promise<TemporalKeyStore>
}

/** What every temporal key store promises. `makePlace` gives an empty place and removes it at the end of the test. */
export function describeTemporalKeyStore(title: string, makePlace: () => Promise<StorePlace>): void {
  const name: TemporalKeyName = { kind: 'epoch', number: bucketAt(Date.now()), generation: 0 }
  const makeRecord = ({ kind }: Pick<TemporalKeyName, 'kind'> = name) =>
    new Uint8Array(randomBytes(temporalRecordBytes(kind)))

  describe(`${title} as a temporal key store`, () => {
    test('finds nothing under a name that was never made', async () => {
      const store = await (await makePlace()).open()
      expect(await store.find(name)).toBeUndefined()
      expect(await store.list()).toEqual([])
      expect(await store.destroy(name)).toBe(false)
    })

    test('lists what was made and not destroyed, in every process', async () => {
      const place = await makePlace()
      const store = await place.open()
      const names = [name, { ...name, generation: 1 }, { ...name, kind: 'bucket' as const }]
      for (const each of names) await store.makeOnce(each, makeRecord(each))
      await store.destroy(name)
      const listed = await (await place.open()).list()
      expect(listed).toHaveLength(2)
      expect(listed).toEqual(expect.arrayContaining(names.slice(1)))
    })

    test('finds exactly the bytes that it was given, in every process and after it was opened again', async () => {
      const place = await makePlace()
      const record = makeRecord()
      const store = await place.open()
      expect(new Uint8Array(await store.makeOnce(name, record))).toEqual(record)
      expect(new Uint8Array((await store.find(name)) as Uint8Array)).toEqual(record)
      expect(new Uint8Array((await (await place.open()).find(name)) as Uint8Array)).toEqual(record)
    })

    test('of many parallel writers of two processes gives everybody the same bytes, those of one of them', async () => {
      const place = await makePlace()
      const stores = [await place.open(), await place.open()] as const
      const records = Array.from({ length: 40 }, () => makeRecord())
      const answers = await Promise.all(
        records.map((record, i) => (stores[i % 2] as TemporalKeyStore).makeOnce(name, record)),
      )
      const distinct = new Set(answers.map((answer) => Buffer.from(answer).toString('hex')))
      expect(distinct.size).toBe(1)
      expect(records.map((record) => Buffer.from(record).toString('hex'))).toContain([...distinct][0])
      expect(new Uint8Array((await stores[0].find(name)) as Uint8Array)).toEqual(
        new Uint8Array(answers[0] as Uint8Array),
      )
    })

    test('keeps the first record when another is made later under its name', async () => {
      const store = await (await makePlace()).open()
      const record = makeRecord()
      await store.makeOnce(name, record)
      expect(new Uint8Array(await store.makeOnce(name, makeRecord()))).toEqual(record)
    })

    test('keeps kinds, numbers and generations apart', async () => {
      const store = await (await makePlace()).open()
      const names: TemporalKeyName[] = [
        name,
        { ...name, kind: 'bucket' },
        { ...name, number: name.number + 1 },
        { ...name, generation: 1 },
        { ...name, generation: 10 },
      ]
      const records = names.map((each) => makeRecord(each))
      for (const [i, each] of names.entries()) await store.makeOnce(each, records[i] as Uint8Array)
      expect(await store.destroy({ ...name, generation: 1 })).toBe(true)
      const found = await Promise.all(names.map((each) => store.find(each)))
      expect(found.map((record) => record && new Uint8Array(record))).toEqual(
        records.map((record, i) => (i === 3 ? undefined : record)),
      )
    })

    test('finds nothing after destruction, in no process, and says once that it destroyed', async () => {
      const place = await makePlace()
      const [store, other] = [await place.open(), await place.open()]
      await store.makeOnce(name, makeRecord())
      const answers = await Promise.all([store.destroy(name), other.destroy(name), store.destroy(name)])
      expect(answers.filter(Boolean)).toHaveLength(1)
      expect(await other.destroy(name)).toBe(false)
      expect([await store.find(name), await other.find(name)]).toEqual([undefined, undefined])
    })
  })
}
