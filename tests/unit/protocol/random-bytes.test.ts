import { describe, expect, it } from 'vitest'
import { createNativePrimitives } from '../../../protocol/primitives/native.ts'
import { createPortablePrimitives } from '../../../protocol/primitives/portable.ts'
import { toHex } from '../../support/protocol-providers.ts'

// Providers of its own for each test: a provider may keep what it drew ahead.
describe.each([
  { provider: 'native', create: createNativePrimitives },
  { provider: 'portable', create: createPortablePrimitives },
])('the random bytes of $provider', ({ create }) => {
  it('are of the length that was asked, and no two alike, in whatever sizes they are drawn', () => {
    const crypto = create()
    const lengths = [0, 1, 12, 16, 31, 32, 64, 255, 256, 257, 5000]
    expect(lengths.map((length) => crypto.randomBytes(length).length)).toEqual(lengths)
    const drawn = Array.from({ length: 1000 }, (_, i) =>
      crypto.randomBytes([12, 16, 32, 64, 200, 300][i % 6] as number),
    )
    expect(new Set(drawn.map((bytes) => toHex(bytes.subarray(0, 12)))).size).toBe(drawn.length)
    expect(new Set(drawn.map((bytes) => toHex(bytes.subarray(-12)))).size).toBe(drawn.length)
  })

  it('share no byte with the ones drawn before: none of a thousand has a place that is often zero', () => {
    const crypto = create()
    const drawn = Array.from({ length: 1000 }, () => crypto.randomBytes(32))
    for (let place = 0; place < 32; place++) {
      // Four are expected; fifty come about less than once in 10^30 runs.
      expect(drawn.filter((bytes) => bytes[place] === 0).length, `place ${place}`).toBeLessThan(50)
    }
  })

  it('are the caller’s alone: wiping them changes no others', () => {
    const crypto = create()
    const [one, other] = [crypto.randomBytes(32), crypto.randomBytes(32)]
    const before = toHex(other)
    one.fill(0)
    expect(toHex(other)).toBe(before)
    expect(toHex(crypto.randomBytes(32))).not.toBe(toHex(one))
  })

  it.each([-32, Number.NaN, Number.POSITIVE_INFINITY, 1.5])(
    'are refused for a length of %d, and are random after it as before',
    (length) => {
      const crypto = create()
      expect(() => crypto.randomBytes(length)).toThrow()
      const next = Array.from({ length: 300 }, () => toHex(crypto.randomBytes(32)))
      expect(new Set(next).size).toBe(300)
      expect(next.every((text) => text.length === 64 && !/^0+$/.test(text))).toBe(true)
    },
  )
})
