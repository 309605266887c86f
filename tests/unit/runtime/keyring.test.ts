import { describe, expect, test } from 'vitest'
import { NIL_UUID } from '../../../protocol/log/audit-event.ts'
import { KekUsesError } from '../../../runtime/custody/kek-uses.ts'
import { keyringPurposes, openKeyring, type WrappedKek, wrapNewKek } from '../../../runtime/custody/keyring.ts'
import { SealError, type SealedPlace, sealRecord } from '../../../runtime/custody/sealed-record.ts'
import { createRootKeyWrapper, type Wrapper } from '../../../runtime/custody/wrapper.ts'
import { native as crypto, flipBit, toUtf8 } from '../../support/protocol-providers.ts'

const place: SealedPlace = { organizationId: NIL_UUID, table: 'kek_version', column: 'sealed', primaryKey: toUtf8('1') }
const secret = toUtf8('thirty-two bytes that are wrapped')

/** What every custody of the root key promises. Each call of `open` gives the custody of another root key. */
function describeWrapper(title: string, open: () => Promise<Wrapper>): void {
  describe(`${title} as a wrapper`, () => {
    test('unwraps what it wrapped, at the same place', async () => {
      const wrapper = await open()
      await wrapper.checkHealth()
      const record = await wrapper.wrap(secret, place)
      expect(new Uint8Array(await wrapper.unwrap(record, place))).toEqual(secret)
      expect(Buffer.from(record).includes(secret)).toBe(false)
    })

    test('refuses what another root key wrapped', async () => {
      const record = await (await open()).wrap(secret, place)
      await expect((await open()).unwrap(record, place)).rejects.toThrow(SealError)
    })

    test('refuses a record that was moved or changed', async () => {
      const wrapper = await open()
      const record = await wrapper.wrap(secret, place)
      await expect(wrapper.unwrap(record, { ...place, primaryKey: toUtf8('2') })).rejects.toThrow(SealError)
      for (const bit of [0, 8 * 3, 8 * 7, 8 * record.length - 1]) {
        await expect(wrapper.unwrap(flipBit(record, bit), place)).rejects.toThrow(SealError)
      }
      await expect(wrapper.unwrap(record.subarray(1), place)).rejects.toThrow(SealError)
      await expect(wrapper.unwrap(new Uint8Array(0), place)).rejects.toThrow(SealError)
    })
  })
}

describeWrapper('a root key in memory', async () => createRootKeyWrapper(crypto, crypto.randomBytes(32)))

test.each([0, 16, 31, 33])('a root key of %i bytes is refused', (length) => {
  expect(() => createRootKeyWrapper(crypto, new Uint8Array(length))).toThrow(RangeError)
})

test('a record that names another version of the root key is refused by that name, though its bytes would open', async () => {
  const rootKey = crypto.randomBytes(32)
  const record = sealRecord(crypto, rootKey, { purpose: 'kek', keyVersion: 2 }, place, secret)
  const refused = createRootKeyWrapper(crypto, rootKey).unwrap(record, place)
  await expect(refused).rejects.toThrow('Wrapped by root key 2; this is 1.')
})

/** Of a keyring whose uses nobody counts. */
const uncounted = { take: () => {} }

describe('a keyring', () => {
  const wrapper = createRootKeyWrapper(crypto, crypto.randomBytes(32))
  const wrapAll = () => Promise.all(keyringPurposes.map((purpose) => wrapNewKek(crypto, wrapper, purpose, 1)))

  test('seals and opens for each purpose, and never for another one', async () => {
    const keyring = await openKeyring(crypto, wrapper, await wrapAll(), uncounted)
    for (const purpose of keyringPurposes) {
      const record = keyring.seal(purpose, place, secret)
      expect(new Uint8Array(await keyring.open(purpose, place, record))).toEqual(secret)
      for (const other of keyringPurposes.filter((name) => name !== purpose)) {
        await expect(keyring.open(other, place, record)).rejects.toThrow(SealError)
      }
    }
  })

  test('that was wrapped by another root key is refused', async () => {
    const keks = await wrapAll()
    const other = createRootKeyWrapper(crypto, crypto.randomBytes(32))
    await expect(openKeyring(crypto, other, keks)).rejects.toThrow(SealError)
  })

  test('whose rows were exchanged between purposes or versions is refused', async () => {
    const [one, two] = (await wrapAll()) as [WrappedKek, WrappedKek]
    await expect(openKeyring(crypto, wrapper, [{ ...one, sealed: two.sealed }])).rejects.toThrow(SealError)
    await expect(openKeyring(crypto, wrapper, [{ ...one, version: 2 }])).rejects.toThrow(SealError)
  })

  test('seals under the active version and still opens what an older one sealed', async () => {
    const old = await wrapNewKek(crypto, wrapper, 'challenge', 1)
    const record = (await openKeyring(crypto, wrapper, [old], uncounted)).seal('challenge', place, secret)
    const young = await wrapNewKek(crypto, wrapper, 'challenge', 2)
    const keyring = await openKeyring(crypto, wrapper, [young, { ...old, active: false }], uncounted)
    expect(new Uint8Array(await keyring.open('challenge', place, record))).toEqual(secret)
    expect(keyring.seal('challenge', place, secret)[6]).toBe(2)
    const withoutOld = await openKeyring(crypto, wrapper, [young])
    await expect(withoutOld.open('challenge', place, record)).rejects.toThrow(
      'no key-encryption key 1 of purpose challenge',
    )
  })

  test('without an active key of a purpose neither seals nor makes a MAC', async () => {
    const kek = await wrapNewKek(crypto, wrapper, 'identityMac', 1)
    const keyring = await openKeyring(crypto, wrapper, [{ ...kek, active: false }])
    expect(() => keyring.mac('identityMac', secret)).toThrow('no active key-encryption key of purpose identityMac')
    expect(() => keyring.seal('challenge', place, secret)).toThrow('no active key-encryption key of purpose challenge')
  })

  test('seals nothing of a counted purpose where nobody counts, or where the count lets it not', async () => {
    const keks = await wrapAll()
    const alone = await openKeyring(crypto, wrapper, keks)
    expect(() => alone.seal('challenge', place, secret)).toThrow(
      'Nobody counts here what is sealed of purpose challenge',
    )
    const take = () => {
      throw new KekUsesError('none left')
    }
    const spent = await openKeyring(crypto, wrapper, keks, { take })
    expect(() => spent.seal('challenge', place, secret)).toThrow('none left')
    expect(spent.seal('temporalKey', place, secret)[6]).toBe(1)
  })

  test('knows its MACs by version, and no other message, MAC or version', async () => {
    const old = await wrapNewKek(crypto, wrapper, 'identityMac', 1)
    const { mac, version } = (await openKeyring(crypto, wrapper, [old])).mac('identityMac', secret)
    const young = await wrapNewKek(crypto, wrapper, 'identityMac', 2)
    const keyring = await openKeyring(crypto, wrapper, [{ ...old, active: false }, young])
    expect([mac.length, version, keyring.mac('identityMac', secret).version]).toEqual([32, 1, 2])
    expect(await keyring.isMac('identityMac', 1, secret, mac)).toBe(true)
    expect(await keyring.isMac('identityMac', 2, secret, mac)).toBe(false)
    expect(await keyring.isMac('identityMac', 1, toUtf8('another'), mac)).toBe(false)
    expect(await keyring.isMac('identityMac', 1, secret, flipBit(mac, 255))).toBe(false)
    expect(await keyring.isMac('identityMac', 1, secret, mac.subarray(0, 31))).toBe(false)
    await expect(keyring.isMac('identityMac', 3, secret, mac)).rejects.toThrow(SealError)
  })
})
