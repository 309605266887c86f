import { expect, test } from 'vitest'
import { type KeyringPurpose, keyringPurposes, openKeyring, wrapNewKek } from '../../../runtime/custody/keyring.ts'
import { tagNetwork } from '../../../runtime/custody/network-tag.ts'
import { createRootKeyWrapper } from '../../../runtime/custody/wrapper.ts'
import { newId } from '../../../runtime/ids.ts'
import { native as crypto } from '../../support/protocol-providers.ts'

const wrapper = createRootKeyWrapper(crypto, crypto.randomBytes(32))
const wrapAll = (version: number) =>
  Promise.all(keyringPurposes.map((purpose: KeyringPurpose) => wrapNewKek(crypto, wrapper, purpose, version)))

test('a tag of a network is the same for one device, and tells nothing to who has another device, organization or key', async () => {
  const first = await wrapAll(1)
  const keyring = await openKeyring(crypto, wrapper, first)
  const device = { organizationId: newId(), principalId: newId() }
  const tag = tagNetwork(keyring, device, '203.0.113.0/24')
  expect(tag).toMatch(/^[\w-]{11}$/)
  expect(tagNetwork(await openKeyring(crypto, wrapper, first), device, '203.0.113.0/24')).toBe(tag)
  const rotated = [...first.map((kek) => ({ ...kek, active: false })), ...(await wrapAll(2))]
  const others = [
    tagNetwork(keyring, device, '203.0.114.0/24'),
    tagNetwork(keyring, { ...device, principalId: newId() }, '203.0.113.0/24'),
    tagNetwork(keyring, { ...device, organizationId: newId() }, '203.0.113.0/24'),
    tagNetwork(await openKeyring(crypto, wrapper, rotated), device, '203.0.113.0/24'),
    tagNetwork(await openKeyring(crypto, wrapper, await wrapAll(1)), device, '203.0.113.0/24'),
  ]
  expect(new Set([tag, ...others]).size).toBe(6)
})
