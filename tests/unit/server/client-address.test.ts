import { describe, expect, test } from 'vitest'
import { addressKey, createAddressMatch, networkKey } from '../../../server/client-address.ts'

describe('an address counts', () => {
  test.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:0DB8:0001:0002::1', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:db8:1::2:3:4', '2001:db8:1:0::/64'],
    ['2001::2:3:4:5:6:7', '2001:0:2:3::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['1::', '1:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['64:ff9b::203.0.113.7', '64:ff9b:0:0::/64'],
    ['1:2:3:4:5:6:203.0.113.7', '1:2:3:4::/64'],
  ])('%s as %s', (address, key) => {
    expect(addressKey(address)).toBe(key)
  })

  test.each(['', 'unknown', '203.0.113.7:4711', '[2001:db8::1]', '203.0.113', '2001:db8::1::2', 'proxy.example'])(
    'not when it is none: "%s"',
    (text) => expect(addressKey(text)).toBeUndefined(),
  )
})

describe('an address is in the network', () => {
  test.each([
    ['203.0.113.7', '203.0.113.0/24'],
    ['::ffff:203.0.113.250', '203.0.113.0/24'],
    ['203.0.114.7', '203.0.114.0/24'],
    ['2001:db8:1:2::1', '2001:db8:1::/48'],
    ['2001:db8:1:9:8::1', '2001:db8:1::/48'],
    ['2001:db8::1', '2001:db8:0::/48'],
    ['::1', '0:0:0::/48'],
    ['unknown', undefined],
    ['203.0.113', undefined],
  ])('of %s: %s', (address, network) => {
    expect(networkKey(address)).toBe(network)
  })
})

test('an address is one of a list, or of one of its networks, in either notation', () => {
  const isListed = createAddressMatch(['10.0.0.1', '10.1.0.0/16', '2001:db8::1', '2001:db8:1::/48'])
  const listed = ['10.0.0.1', '::ffff:10.0.0.1', '10.1.255.255', '::ffff:10.1.2.3', '2001:db8::1', '2001:db8:1:9::2']
  const others = [
    '10.0.0.2',
    '10.2.0.0',
    '::ffff:10.2.0.0',
    '2001:db8::2',
    '2001:db8:2::1',
    '',
    'localhost',
    '10.0.0.1:80',
  ]
  expect(listed.map(isListed)).toEqual(listed.map(() => true))
  expect(others.map(isListed)).toEqual(others.map(() => false))
  expect(createAddressMatch([])('127.0.0.1')).toBe(false)
})
