import { hkdfSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { expand, extract } from '../../../protocol/key-derivation.ts'
import { providers, toHex, toUtf8 } from '../../support/protocol-providers.ts'

describe.each(providers)('HKDF with SHA3-512 on $provider', (crypto) => {
  const salt = toUtf8('salt')
  const ikm = toUtf8('input keying material')

  it.each([1, 32, 63, 64, 65, 128, 129, 255 * 64])('gives the %i bytes that node:crypto gives', (length) => {
    for (const info of [new Uint8Array(0), toUtf8('info')]) {
      const expected = new Uint8Array(hkdfSync('sha3-512', ikm, salt, info, length))
      expect(toHex(expand(crypto, extract(crypto, salt, ikm), info, length))).toBe(toHex(expected))
    }
  })

  it('gives no more than 255 blocks', () => {
    const prk = extract(crypto, salt, ikm)
    expect(() => expand(crypto, prk, salt, 255 * 64 + 1)).toThrow(RangeError)
  })

  it('gives other keys for another salt, another secret and another purpose', () => {
    const keys = [
      expand(crypto, extract(crypto, salt, ikm), toUtf8('a'), 64),
      expand(crypto, extract(crypto, ikm, salt), toUtf8('a'), 64),
      expand(crypto, extract(crypto, salt, toUtf8('other')), toUtf8('a'), 64),
      expand(crypto, extract(crypto, salt, ikm), toUtf8('b'), 64),
    ]
    expect(new Set(keys.map(toHex)).size).toBe(4)
  })
})
