import { describe, expect, it } from 'vitest'
import { encode } from '../../../protocol/encoding.ts'
import { hedgeExchange, hedgeIdentitySeed } from '../../../protocol/hedge.ts'
import type { Primitives } from '../../../protocol/primitives.ts'
import { providers, toHex } from '../../support/protocol-providers.ts'

describe.each(providers)('hedged seeds on $provider', (crypto) => {
  const stuck: Primitives = { ...crypto, randomBytes: (length) => new Uint8Array(length).fill(0x42) }
  const identitySeed = new Uint8Array(32).fill(1)
  const tokenSecret = new Uint8Array(32).fill(2)
  const previousChain = new Uint8Array(64).fill(3)

  it('differ by each secret though the random source is stuck, and from each other', () => {
    const seeds = [
      hedgeExchange(stuck, { identitySeed }),
      hedgeExchange(stuck, { identitySeed, previousChain }),
      hedgeExchange(stuck, { identitySeed: tokenSecret }),
    ].flatMap(({ ephemeralKey, encapsulation }) => [ephemeralKey, encapsulation])
    expect(seeds.map(({ length }) => length)).toEqual([64, 32, 64, 32, 64, 32])
    expect(new Set(seeds.map((seed) => toHex(seed.subarray(0, 32)))).size).toBe(6)
  })

  it('differ by the random source though the secrets are known', () => {
    const draw = () => hedgeExchange(crypto, { identitySeed, previousChain })
    const [one, other] = [draw(), draw()]
    expect(toHex(one.ephemeralKey)).not.toBe(toHex(other.ephemeralKey))
    expect(toHex(one.encapsulation)).not.toBe(toHex(other.encapsulation))
    expect(toHex(hedgeIdentitySeed(crypto, tokenSecret))).not.toBe(toHex(hedgeIdentitySeed(crypto, tokenSecret)))
  })

  it('of an identity key are what docs/protocol.md says', () => {
    const expected = crypto.hash512(encode('QFLARE-v1 hedge identity', stuck.randomBytes(64), tokenSecret))
    expect(toHex(hedgeIdentitySeed(stuck, tokenSecret))).toBe(toHex(expected.subarray(0, 32)))
    expect(toHex(hedgeIdentitySeed(stuck, identitySeed))).not.toBe(toHex(hedgeIdentitySeed(stuck, tokenSecret)))
  })

  it('leave the secrets as they were', () => {
    hedgeExchange(crypto, { identitySeed, previousChain })
    hedgeIdentitySeed(crypto, tokenSecret)
    expect([identitySeed, tokenSecret, previousChain].map(toHex)).toEqual([
      '01'.repeat(32),
      '02'.repeat(32),
      '03'.repeat(64),
    ])
  })
})
