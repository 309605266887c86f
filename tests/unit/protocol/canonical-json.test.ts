import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalJson, type Json } from '../../../protocol/encoding.ts'
import { refusalOf } from '../../support/protocol-providers.ts'

/** IEEE 754 bits → text: RFC 8785, appendix B. */
const numbers: [string, string][] = [
  ['0000000000000000', '0'],
  ['8000000000000000', '0'],
  ['0000000000000001', '5e-324'],
  ['8000000000000001', '-5e-324'],
  ['7fefffffffffffff', '1.7976931348623157e+308'],
  ['ffefffffffffffff', '-1.7976931348623157e+308'],
  ['4340000000000000', '9007199254740992'],
  ['c340000000000000', '-9007199254740992'],
  ['4430000000000000', '295147905179352830000'],
  ['44b52d02c7e14af5', '9.999999999999997e+22'],
  ['44b52d02c7e14af6', '1e+23'],
  ['44b52d02c7e14af7', '1.0000000000000001e+23'],
  ['444b1ae4d6e2ef4e', '999999999999999700000'],
  ['444b1ae4d6e2ef4f', '999999999999999900000'],
  ['444b1ae4d6e2ef50', '1e+21'],
  ['3eb0c6f7a0b5ed8c', '9.999999999999997e-7'],
  ['3eb0c6f7a0b5ed8d', '0.000001'],
  ['41b3de4355555553', '333333333.3333332'],
  ['41b3de4355555554', '333333333.33333325'],
  ['41b3de4355555555', '333333333.3333333'],
  ['41b3de4355555556', '333333333.3333334'],
  ['41b3de4355555557', '333333333.33333343'],
  ['becbf647612f3696', '-0.0000033333333333333333'],
  ['43143ff3c1cb0959', '1424953923781206.2'],
]

describe('canonical JSON', () => {
  it.each(numbers)('writes the number %s as RFC 8785 does: %s', (bits, expected) => {
    expect(canonicalJson(Buffer.from(bits, 'hex').readDoubleBE())).toBe(expected)
  })

  it.each(['7fffffffffffffff', '7ff0000000000000', 'fff0000000000000'])('refuses the number %s', (bits) => {
    const refusal = refusalOf(() => canonicalJson({ a: [Buffer.from(bits, 'hex').readDoubleBE()] }))
    expect(refusal).toEqual({ code: 'encoding_invalid', message: 'JSON has no number that is not finite.' })
  })

  it('is nested at most 100 deep, and refuses more before it ends the stack', () => {
    const nested = (depth: number, open: string, close: string) =>
      JSON.parse(`${open.repeat(depth)}1${close.repeat(depth)}`) as Json
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      expect(canonicalJson(nested(100, open, close))).toBe(`${open.repeat(100)}1${close.repeat(100)}`)
      for (const depth of [101, 30_000]) {
        const refusal = refusalOf(() => canonicalJson(nested(depth, open, close)))
        expect(refusal).toEqual({ code: 'encoding_invalid', message: 'JSON is nested too deep.' })
      }
    }
  })

  it('writes the example of RFC 8785 §3.2.2', () => {
    const example = String.raw`{
      "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
      "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
      "literals": [null, true, false]
    }`
    expect(canonicalJson(JSON.parse(example) as Json)).toBe(
      String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
    )
  })

  it('sorts members by UTF-16 code units, as the example of RFC 8785 §3.2.3', () => {
    const example: Json = {
      '\u20ac': 'Euro Sign',
      '\r': 'Carriage Return',
      '\ufb33': 'Hebrew Letter Dalet With Dagesh',
      '1': 'One',
      '\ud83d\ude00': 'Emoji: Grinning Face',
      '\u0080': 'Control',
      '\u00f6': 'Latin Small Letter O With Diaeresis',
    }
    const values = [...canonicalJson(example).matchAll(/:"([^"]+)"/g)].map(([, value]) => value)
    expect(values).toEqual([
      'Carriage Return',
      'One',
      'Control',
      'Latin Small Letter O With Diaeresis',
      'Euro Sign',
      'Emoji: Grinning Face',
      'Hebrew Letter Dalet With Dagesh',
    ])
  })

  it('sorts numbers among the names as text, and the members of every level', () => {
    const value: Json = { b: [{ z: 1, a: 2 }], '10': 0, '9': 0, a: { y: null, x: {} } }
    expect(canonicalJson(value)).toBe('{"10":0,"9":0,"a":{"x":{},"y":null},"b":[{"a":2,"z":1}]}')
  })

  it.each(['\ud800', 'a\udc00', '\udc00\ud800'])('refuses a lone surrogate in a value and in a name: %j', (text) => {
    const refusal = { code: 'encoding_invalid', message: 'A string holds a lone surrogate.' }
    expect(refusalOf(() => canonicalJson([text]))).toEqual(refusal)
    expect(refusalOf(() => canonicalJson({ [text]: 1 }))).toEqual(refusal)
  })

  it('leaves what needs no escape as it is, DEL and the line separators too', () => {
    expect(canonicalJson('\u007f\u2028\u2029/\u00e9')).toBe('"\u007f\u2028\u2029/\u00e9"')
    expect(canonicalJson('\b\t\n\f\r\u0000\u001f"\\')).toBe(String.raw`"\b\t\n\f\r\u0000\u001f\"\\"`)
  })

  it('keeps the value, whatever the order in which its members came', () => {
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), (value) => {
        const text = canonicalJson(JSON.parse(JSON.stringify(value)) as Json)
        expect(canonicalJson(JSON.parse(text) as Json)).toBe(text)
        expect(canonicalJson(reversed(JSON.parse(text) as Json))).toBe(text)
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })
})

function reversed(value: Json): Json {
  if (Array.isArray(value)) return value.map(reversed)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, member]) => [key, reversed(member)]),
  )
}
