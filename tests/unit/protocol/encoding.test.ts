import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  encode,
  fromBase64Padded,
  fromBase64url,
  isUuid,
  toBase64Padded,
  toBase64url,
  u64,
  uuidFromBytes,
  uuidToBytes,
} from '../../../protocol/encoding.ts'
import { refusalOf, toHex, toUtf8 } from '../../support/protocol-providers.ts'

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'.split('')
const someBytes = fc.uint8Array({ maxLength: 200 })

describe('base64url', () => {
  it('is what Buffer writes, and reads back to the same bytes', () => {
    fc.assert(
      fc.property(someBytes, (bytes) => {
        const text = toBase64url(bytes)
        expect(text).toBe(Buffer.from(bytes).toString('base64url'))
        expect(toHex(fromBase64url(text))).toBe(toHex(bytes))
        expect(toHex(fromBase64url(text, bytes.length))).toBe(toHex(bytes))
      }),
    )
  })

  it('has one text for each value: whatever is read is written again as it was', () => {
    const textLike = fc.string({ unit: fc.constantFrom(...alphabet, '+', '/', '=', ' ', '\n', 'é'), maxLength: 9 })
    fc.assert(
      fc.property(textLike, (text) => {
        let bytes: Uint8Array
        try {
          bytes = fromBase64url(text)
        } catch {
          expect(Buffer.from(text, 'base64url').toString('base64url')).not.toBe(text)
          return
        }
        expect(toBase64url(bytes)).toBe(text)
      }),
      { numRuns: 2000 },
    )
  })

  it('has exactly 4 last characters of 16 after one byte, and 16 of 64 after two', () => {
    const readable = (start: string) => alphabet.filter((last) => isReadable(start + last))
    expect(readable('A')).toEqual(['A', 'Q', 'g', 'w'])
    expect(readable('AA')).toEqual('AEIMQUYcgkosw048'.split(''))
    expect(readable('AAA')).toEqual(alphabet)
    expect(readable('')).toEqual([])
  })

  it('has no character outside its alphabet, anywhere', () => {
    for (let code = 0; code < 0x180; code++) {
      const character = String.fromCharCode(code)
      if (alphabet.includes(character)) continue
      for (const text of [`${character}AAA`, `AA${character}A`, `AAA${character}`, `AAAA${character}A`]) {
        expect(isReadable(text), JSON.stringify(text)).toBe(false)
      }
    }
  })

  it.each([
    'AA==',
    'AAA=',
    'AAAA=',
    'AAAA====',
    '=',
    'A A',
    ' AAAA',
    'AAAA ',
    'AAAA\n',
    'AA\tAA',
    '\uFEFFAAAA',
    'AAA\0',
  ])('refuses padding, white space and marks: %j', (text) => {
    expect(refusalOf(() => fromBase64url(text)).code).toBe('encoding_invalid')
  })

  it('refuses every number of bytes but the one that is asked', () => {
    const text = toBase64url(new Uint8Array(32))
    expect(fromBase64url(text, 32).length).toBe(32)
    for (const length of [0, 31, 33, 64]) {
      expect(refusalOf(() => fromBase64url(text, length))).toEqual({
        code: 'encoding_invalid',
        message: `Holds 32 bytes, not ${length}.`,
      })
    }
    expect(fromBase64url('', 0).length).toBe(0)
  })
})

describe('base64 with padding', () => {
  it('is what Buffer writes, and reads back to the same bytes', () => {
    fc.assert(
      fc.property(someBytes, (bytes) => {
        const text = toBase64Padded(bytes)
        expect(text).toBe(Buffer.from(bytes).toString('base64'))
        expect(toHex(fromBase64Padded(text))).toBe(toHex(bytes))
        expect(toHex(fromBase64Padded(text, bytes.length))).toBe(toHex(bytes))
      }),
    )
  })

  it('has one text for each value: whatever is read is written again as it was', () => {
    const unit = fc.constantFrom('A', 'B', 'Q', 'g', 'z', '0', '+', '/', '=', '-', '_', ' ', '\n', 'é')
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 9 }), (text) => {
        let bytes: Uint8Array
        try {
          bytes = fromBase64Padded(text)
        } catch {
          expect(Buffer.from(text, 'base64').toString('base64')).not.toBe(text)
          return
        }
        expect(toBase64Padded(bytes)).toBe(text)
      }),
      { numRuns: 3_000 },
    )
  })

  it.each([
    'A',
    'AA',
    'AAA',
    'AA=',
    'AAA==',
    'AA=A',
    '=AAA',
    '====',
    'AAAA=',
    'AAAA====',
    'AB==',
    'AAB=',
    'A===',
    'AA==AA==',
    'AA-_',
    'AA==\n',
    ' AA==',
    'A A=',
    '\uFEFFAAAA',
    'AAAA\r\n',
  ])('refuses %j', (text) => {
    expect(refusalOf(() => fromBase64Padded(text)).code).toBe('encoding_invalid')
  })

  it('refuses every number of bytes but the one that is asked', () => {
    const text = toBase64Padded(new Uint8Array(32))
    for (const length of [0, 31, 33])
      expect(refusalOf(() => fromBase64Padded(text, length)).code).toBe('encoding_invalid')
  })
})

describe('a UUID', () => {
  it('is its 16 bytes and its canonical text, and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const uuid = uuidFromBytes(bytes)
        expect(isUuid(uuid)).toBe(true)
        expect(toHex(uuidToBytes(uuid))).toBe(toHex(bytes))
      }),
    )
  })

  const uuid = '0197b2f0-5c1e-7c3a-9d44-2f6f8f6b1a10'
  it.each([
    ['upper case', uuid.toUpperCase()],
    ['one upper-case digit', uuid.replace('f', 'F')],
    ['braces', `{${uuid}}`],
    ['a URN', `urn:uuid:${uuid}`],
    ['no hyphens', uuid.replaceAll('-', '')],
    ['a hyphen elsewhere', '0197b2f05-c1e-7c3a-9d44-2f6f8f6b1a10'],
    ['white space before', ` ${uuid}`],
    ['a line feed after', `${uuid}\n`],
    ['a digit too few', uuid.slice(0, -1)],
    ['a digit too many', `${uuid}0`],
    ['another letter', uuid.replace('f', 'g')],
    ['nothing', ''],
  ])('is refused with %s', (_, text) => {
    expect(isUuid(text)).toBe(false)
    expect(refusalOf(() => uuidToBytes(text))).toEqual({
      code: 'encoding_invalid',
      message: 'A UUID is 36 characters of canonical lower-case text.',
    })
  })
})

describe('u64', () => {
  it.each([
    [0, '0000000000000000'],
    [1, '0000000000000001'],
    [255, '00000000000000ff'],
    [256, '0000000000000100'],
    [2 ** 32, '0000000100000000'],
    [1_795_318_200_000, '000001a2014db6c0'],
    [Number.MAX_SAFE_INTEGER, '001fffffffffffff'],
  ])('writes %d big endian', (value, expected) => {
    expect(toHex(u64(value))).toBe(expected)
  })

  it.each([-1, 0.5, 2 ** 53, 2 ** 64, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'refuses %d',
    (value) => {
      expect(refusalOf(() => u64(value)).code).toBe('encoding_invalid')
    },
  )
})

describe('E', () => {
  it('is each part behind its length, 4 bytes big endian', () => {
    expect(toHex(encode('ab'))).toBe('000000026162')
    expect(toHex(encode('', 'é', new Uint8Array(0), Uint8Array.of(7)))).toBe('0000000000000002c3a9000000000000000107')
    expect(toHex(encode('a', new Uint8Array(300))).slice(0, 18)).toBe('00000001610000012c')
  })

  it('gives other bytes for any other list of parts', () => {
    // Few different bytes, and those that lengths are made of, so that lists come close to each other.
    const text = fc.string({ unit: fc.constantFrom('\0', '\u0001', 'é'), maxLength: 3 })
    const part = fc.oneof(fc.uint8Array({ max: 2, maxLength: 6 }), text)
    const list = fc.tuple(text, fc.array(part, { maxLength: 4 }))
    const asHex = (parts: (Uint8Array | string)[]) =>
      parts.map((one) => toHex(typeof one === 'string' ? toUtf8(one) : one)).join('|')
    fc.assert(
      fc.property(list, list, ([labelA, a], [labelB, b]) => {
        const isSame = asHex([labelA, ...a]) === asHex([labelB, ...b])
        expect(toHex(encode(labelA, ...a)) === toHex(encode(labelB, ...b))).toBe(isSame)
      }),
      { numRuns: 1000 },
    )
  })

  it('can be read back to exactly its parts', () => {
    fc.assert(
      fc.property(fc.array(someBytes, { maxLength: 6 }), (parts) => {
        expect(decode(encode('label', ...parts))).toEqual([toHex(toUtf8('label')), ...parts.map(toHex)])
      }),
    )
  })

  it('tells apart lists that only differ in where a part ends', () => {
    const lists = [['ab', 'c'], ['a', 'bc'], ['abc'], ['abc', ''], ['', 'abc'], ['a', 'b', 'c']]
    const encoded = lists.map((list) => toHex(encode('label', ...list)))
    expect(new Set(encoded).size).toBe(lists.length)
  })

  it('refuses text that UTF-8 cannot hold, which would read as another text', () => {
    expect(refusalOf(() => encode('label', '\ud800')).code).toBe('encoding_invalid')
    expect(refusalOf(() => encode('label', 'a\udfffb')).code).toBe('encoding_invalid')
  })
})

function isReadable(text: string): boolean {
  try {
    fromBase64url(text)
    return true
  } catch {
    return false
  }
}

function decode(bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const parts: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const length = view.getUint32(at)
    parts.push(toHex(bytes.subarray(at + 4, at + 4 + length)))
    at += 4 + length
  }
  return parts
}
