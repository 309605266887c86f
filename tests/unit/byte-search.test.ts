import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { createByteSearch } from '../support/byte-search.ts'

// What says that nothing is left must be able to find it.

const secret = randomBytes(64)
const other = randomBytes(32)
const canaries = [
  { what: 'secret', bytes: secret },
  { what: 'other', bytes: other },
]

function searchIn(...pieces: Uint8Array[]): string[] {
  const search = createByteSearch(canaries)
  for (const piece of pieces) search.push(piece)
  return search.found()
}
const noise = (length: number) => randomBytes(length)

describe('a search for bytes', () => {
  test.each([0, 1, 4_095, 4_096, 12_288, 99_999])('finds them after %i bytes of noise, or of nothing', (length) => {
    expect(searchIn(Buffer.concat([noise(length), secret, noise(5)]))).toEqual(['secret (raw)'])
    expect(searchIn(Buffer.concat([Buffer.alloc(length), secret]))).toEqual(['secret (raw)'])
  })

  test('finds them across the edge of two pieces, wherever it falls', () => {
    for (let edge = 1; edge < secret.length; edge++) {
      expect(searchIn(Buffer.concat([noise(50), secret.subarray(0, edge)]), secret.subarray(edge))).toEqual([
        'secret (raw)',
      ])
    }
  })

  test.each(['hex', 'base64', 'base64url'] as const)('finds them in %s, wherever in it they begin', (encoding) => {
    for (let before = 0; before < 6; before++) {
      const text = Buffer.concat([noise(before), other, noise(before)]).toString(encoding)
      for (const width of ['latin1', 'utf16le'] as const) {
        const found = [`other (${encoding === 'hex' ? 'hex' : 'base64'})`]
        expect(searchIn(Buffer.from(text, width))).toEqual(found)
      }
    }
    expect(searchIn(Buffer.from(other.toString('hex').toUpperCase()))).toEqual(['other (hex)'])
  })

  test.each([
    ['beginning', 0, 48],
    ['end', 16, 64],
  ] as const)('finds what is left of them when only the %s is', (_part, from, to) => {
    expect(searchIn(noise(9), secret.subarray(from, to), noise(9))).toEqual(['secret (raw)'])
  })

  test('finds nothing where there is nothing, and nothing across what does not follow on each other', () => {
    expect(searchIn(noise(1 << 20), Buffer.alloc(1 << 16))).toEqual([])
    const search = createByteSearch([{ what: 'short', bytes: secret.subarray(0, 16) }])
    search.push(secret.subarray(0, 8))
    search.cut()
    search.push(secret.subarray(8, 16))
    expect(search.found()).toEqual([])
  })
})
