import { describe, expect, test } from 'vitest'
import { createNativePrimitives } from '../../../protocol/primitives/native.ts'
import { type Keyring, openKeyring, wrapNewKek } from '../../../runtime/custody/keyring.ts'
import { createRootKeyWrapper } from '../../../runtime/custody/wrapper.ts'
import { newId } from '../../../runtime/ids.ts'
import { createPasses, PASS_MS } from '../../../server/services/passes.ts'

const crypto = createNativePrimitives()
const wrapper = createRootKeyWrapper(crypto, crypto.randomBytes(32))
const holder = { id: newId(), organizationId: newId() }

async function makeKeyring(version = 1): Promise<Keyring> {
  return openKeyring(crypto, wrapper, [await wrapNewKek(crypto, wrapper, 'identityMac', version)])
}

function passesOf(keyring: Keyring, time = { now: 1_000 }) {
  return createPasses({ keyring, crypto, clock: { now: () => time.now } })
}

describe('a pass', () => {
  test('says whose it is, to every process with the same key', async () => {
    const keyring = await makeKeyring()
    expect(passesOf(keyring).read(passesOf(keyring).issue(holder))).toEqual(holder)
    expect(passesOf(await makeKeyring()).read(passesOf(keyring).issue(holder))).toBeUndefined()
  })

  test('ends', async () => {
    const time = { now: 1_000 }
    const passes = passesOf(await makeKeyring(), time)
    const pass = passes.issue(holder)
    time.now += PASS_MS - 1
    expect(passes.read(pass)).toEqual(holder)
    time.now += 1
    expect(passes.read(pass)).toBeUndefined()
  })

  test('of which any digit is another is none', async () => {
    const passes = passesOf(await makeKeyring())
    const pass = passes.issue(holder)
    for (let at = 0; at < pass.length; at++) {
      const digit = pass[at] === 'A' ? 'B' : 'A'
      expect(passes.read(pass.slice(0, at) + digit + pass.slice(at + 1))).toBeUndefined()
    }
  })

  test.each(['', 'A', 'A'.repeat(98), '!'.repeat(98), '\u0000', 'é'.repeat(98), 'A'.repeat(8_000)])(
    'is none of the text %j',
    async (text) => {
      expect(passesOf(await makeKeyring()).read(text)).toBeUndefined()
    },
  )

  test('is good after the key that it is under was replaced once, and not twice', async () => {
    const keyrings = [await makeKeyring(1), await makeKeyring(2), await makeKeyring(3)]
    let at = 0
    const live = new Proxy({} as Keyring, {
      get: (_, name) => Reflect.get(keyrings[at] as Keyring, name) as unknown,
    })
    const passes = passesOf(live)
    const pass = passes.issue(holder)
    at = 1
    expect(passes.read(pass)).toEqual(holder)
    expect(passes.read(passes.issue(holder))).toEqual(holder)
    at = 2
    expect(passes.read(pass)).toBeUndefined()
  })
})
