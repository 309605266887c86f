import { describe, expect, test } from 'vitest'
import {
  keyVersionOf,
  openRecord,
  SEAL_OVERHEAD_BYTES,
  SealError,
  type SealedPlace,
  sealPurposes,
  sealRecord,
} from '../../../runtime/custody/sealed-record.ts'
import { asSlice, flipBit, providers, toUtf8 } from '../../support/protocol-providers.ts'

const place: SealedPlace = {
  organizationId: '0190a7c1-0000-7000-8000-000000000001',
  table: 'session',
  column: 'chains',
  primaryKey: toUtf8('row 1'),
}
const header = { purpose: 'chain', keyVersion: 5_930_000 } as const
const plaintext = toUtf8('a chain of sixty-four bytes, or whatever else is worth sealing')

describe.each(providers)('a sealed record of the $provider provider', (crypto) => {
  const key = crypto.randomBytes(32)
  const record = sealRecord(crypto, key, header, place, plaintext)
  const open = (changes: { key?: Uint8Array; place?: Partial<SealedPlace>; record?: Uint8Array } = {}) =>
    openRecord(crypto, changes.key ?? key, 'chain', { ...place, ...changes.place }, changes.record ?? record)

  test('opens at its place to what was sealed, and wherever it lies in a buffer', () => {
    expect(new Uint8Array(open())).toEqual(plaintext)
    expect(new Uint8Array(open({ record: asSlice(record) }))).toEqual(plaintext)
    expect(keyVersionOf(asSlice(record), 'chain')).toBe(5_930_000)
  })

  test('is 0x01, the purpose, the version of its key, a nonce, the ciphertext and a tag: 35 bytes more', () => {
    expect(SEAL_OVERHEAD_BYTES).toBe(35)
    for (const length of [0, 1, 64]) {
      const sealed = sealRecord(crypto, key, header, place, new Uint8Array(length))
      expect(sealed.length).toBe(length + SEAL_OVERHEAD_BYTES)
      expect(open({ record: sealed }).length).toBe(length)
    }
    expect([...record.subarray(0, 7)]).toEqual([1, 0, 6, 0x00, 0x5a, 0x7c, 0x10])
  })

  test('is never the same twice', () => {
    const again = sealRecord(crypto, key, header, place, plaintext)
    expect(again.subarray(7, 19)).not.toEqual(record.subarray(7, 19))
    expect(again.subarray(19)).not.toEqual(record.subarray(19))
  })

  test.each<[string, Partial<SealedPlace>]>([
    ['organization', { organizationId: '0190a7c1-0000-7000-8000-000000000002' }],
    ['table', { table: 'challenge' }],
    ['column', { column: 'confirmation_hash' }],
    ['row', { primaryKey: toUtf8('row 2') }],
    ['row with an empty key', { primaryKey: new Uint8Array(0) }],
    ['place that reads the same in one line', { table: 'sessio', column: 'nchains' }],
  ])('does not open in another %s', (_, moved) => {
    expect(() => open({ place: moved })).toThrow(SealError)
  })

  test('does not open under another key', () => {
    expect(() => open({ key: crypto.randomBytes(32) })).toThrow(SealError)
    expect(() => open({ key: flipBit(key, 255) })).toThrow(SealError)
  })

  test('does not open after any bit of it was turned', () => {
    for (let bit = 0; bit < 8 * record.length; bit++) {
      expect(() => open({ record: flipBit(record, bit) }), `bit ${bit}`).toThrow(SealError)
    }
  })

  test('does not open when it is cut short, longer, or nothing', () => {
    for (const length of [0, 1, 6, 7, 19, 34, 35, record.length - 1]) {
      expect(() => open({ record: record.subarray(0, length) }), `${length} bytes`).toThrow(SealError)
    }
    expect(() => open({ record: Uint8Array.from([...record, 0]) })).toThrow(SealError)
  })

  test('of one purpose does not open as another, though the key and the place are the same', () => {
    for (const purpose of Object.keys(sealPurposes) as (keyof typeof sealPurposes)[]) {
      if (purpose === 'chain') continue
      expect(() => keyVersionOf(record, purpose)).toThrow(SealError)
      expect(() => openRecord(crypto, key, purpose, place, record)).toThrow(
        `Not a sealed record of purpose ${purpose}.`,
      )
    }
  })
})

test('a record of one provider opens with the other', () => {
  const [one, other] = providers as [(typeof providers)[number], (typeof providers)[number]]
  const key = one.randomBytes(32)
  for (const [seals, opens] of [
    [one, other],
    [other, one],
  ] as const) {
    const record = sealRecord(seals, key, header, place, plaintext)
    expect(new Uint8Array(openRecord(opens, key, 'chain', place, record))).toEqual(plaintext)
  }
})

test('purposes are numbers that never change', () => {
  expect(sealPurposes).toEqual({ kek: 1, signingKey: 2, identityMac: 3, challenge: 4, temporalKey: 5, chain: 6 })
})
