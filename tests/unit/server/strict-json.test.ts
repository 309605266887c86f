import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_JSON_DEPTH, parseStrictJson, StrictJsonError } from '../../../server/strict-json.ts'
import { withinCharacters } from './count-characters.ts'

const utf8 = new TextEncoder()
const parse = (text: string) => parseStrictJson(utf8.encode(text))

/** The message of the refusal; any other error, or none, fails the test. */
function refusal(input: string | Uint8Array): string {
  try {
    parseStrictJson(typeof input === 'string' ? utf8.encode(input) : input)
  } catch (error) {
    expect(error).toBeInstanceOf(StrictJsonError)
    return (error as StrictJsonError).message
  }
  throw new Error('it was taken')
}

const notJson = 'The body is not JSON.'
const twice = 'A member stands twice in one object.'
const tooDeep = 'The body is deeper than 8 levels.'

describe('keys', () => {
  it.each([
    ['side by side', '{"a":1,"a":1}'],
    ['far apart', '{"a":{"b":1},"c":[{"d":2}],"a":3}'],
    ['with white space before the colon', '{"a" :1,"a"\n\t\r :2}'],
    ['in a nested object', '{"x":[{"a":1,"b":{},"a":2}]}'],
    ['once spelled with an escape', '{"a":1,"\\u0061":2}'],
    ['both spelled with escapes, of different case', '{"\\u006a":1,"\\u006A":2}'],
    ['of a short escape and a long one', '{"\\n":1,"\\u000a":2}'],
    ['that are empty', '{"":1,"":2}'],
    ['beyond the basic plane', '{"😀":1,"\\ud83d\\ude00":2}'],
    ['with an escaped quote', '{"\\"":1,"\\u0022":2}'],
    ['that end in a backslash', '{"\\\\":1,"\\u005c":2}'],
    ['that are numbers', '{"1":1,"\\u0031":2}'],
    ['after a value that looks like a member', '{"a":"\\"a\\":1","a":2}'],
  ])('twice in one object are refused: %s', (_name, text) => {
    expect(refusal(text)).toBe(twice)
  })

  it.each([
    ['in different objects', '{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}'],
    ['of different case', '{"a":1,"A":2}'],
    ['of different normal forms', '{"é":1,"e\\u0301":2}'],
    ['once as a key and once as a value', '{"a":"a","b":["a","a"]}'],
    ['in the text of a value', '{"a":"{\\"a\\":1,\\"a\\":2}"}'],
  ])('are taken as they are: %s', (_name, text) => {
    expect(parse(text)).toEqual(JSON.parse(text))
  })

  it.each(['__proto__', 'constructor', 'prototype'])('%s is refused at every place and in every spelling', (name) => {
    const escaped = `\\u${name.charCodeAt(0).toString(16).padStart(4, '0')}${name.slice(1)}`
    for (const key of [name, escaped]) {
      for (const text of [
        `{"${key}":1}`,
        `{"a":{"${key}":{}}}`,
        `[[{"b":1,"${key}" : null}]]`,
        `{"a":[{"${key}":1}]}`,
      ]) {
        expect(refusal(text), text).toBe(`A member must not be called ${name}.`)
      }
    }
  })

  it.each(['__proto__', 'constructor', 'prototype'])('%s is taken as a value', (name) => {
    expect(parse(`{"name":"${name}","names":["${name}"]}`)).toEqual({ name, names: [name] })
  })

  it('that only resemble the forbidden ones are taken', () => {
    const text = '{"__proto":1,"Constructor":2,"prototype ":3,"toString":4,"__defineGetter__":5,"hasOwnProperty":6}'
    expect(parse(text)).toEqual(JSON.parse(text))
  })
})

describe('depth', () => {
  const arrays = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
  const objects = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`

  it(`of ${MAX_JSON_DEPTH} levels is taken, of one more refused, whatever they are made of`, () => {
    expect(MAX_JSON_DEPTH).toBe(8)
    for (const nest of [arrays, objects, (depth: number) => `[${objects(depth - 1)}]`]) {
      expect(parse(nest(8))).toEqual(JSON.parse(nest(8)))
      expect(refusal(nest(9))).toBe(tooDeep)
    }
  })

  it('counts levels that are open at once, not brackets', () => {
    const text = `[${Array.from({ length: 1000 }, () => '{"a":[]}').join(',')}]`
    expect(parse(text)).toHaveLength(1000)
  })

  it('does not count brackets in strings', () => {
    const text = '"'.concat('[{'.repeat(100), '"')
    expect(parse(text)).toBe('[{'.repeat(100))
  })

  it('of 100,000 levels is refused at the ninth', () => {
    for (const text of [arrays(100_000), objects(100_000), '[{"a":'.repeat(50_000), '['.repeat(65_536)]) {
      expect(withinCharacters(200, () => refusal(text))).toBe(tooDeep)
    }
  })
})

describe('bytes and texts that are no JSON', () => {
  it.each([
    ['nothing', ''],
    ['white space', ' \n\t\r '],
    ['a byte order mark', '\ufeff{}'],
    ['a byte order mark within', '{\ufeff}'],
    ['a lone quote', '"'],
    ['a string that does not end', '{"a":"b'],
    ['a string that ends in an escaped quote', '"\\"'],
    ['nothing but escaped quotes', '\\"'.repeat(1000)],
    ['a key without a value', '{"a":}'],
    ['a key alone', '{"a"}'],
    ['an unknown escape in a key', '{"\\x":1}'],
    ['half an escape in a key', '{"\\u12":1}'],
    ['a control character in a string', '"\n"'],
    ['a control character in a key', '{"\u0000":1}'],
    ['something behind it', '{} x'],
    ['a second value', '{}{}'],
    ['a comma behind the last', '[1,]'],
    ['closing brackets alone', ']]]}}}'],
    ['brackets of two kinds', '[}'],
    ['a key in an array', '["a":1]'],
    ['single quotes', "{'a':1}"],
    ['a comment', '{/**/}'],
    ['a no-break space', '\u00a0{}'],
    ['undefined', 'undefined'],
    ['NaN', 'NaN'],
    ['Infinity', '-Infinity'],
    ['a leading zero', '01'],
    ['a plus', '+1'],
    ['a hexadecimal number', '0x10'],
    ['half a fraction', '1.'],
    ['64 KiB of quotes and backslashes', '"\\'.repeat(32_768)],
    ['64 KiB of a quote and backslashes', `"${'\\'.repeat(65_535)}`],
  ])('are refused: %s', (_name, text) => {
    expect(refusal(text)).toBe(notJson)
  })

  it.each([
    ['a lone continuation byte', [0x22, 0x80, 0x22]],
    ['an overlong form', [0x22, 0xc0, 0xaf, 0x22]],
    ['an encoded surrogate', [0x22, 0xed, 0xa0, 0x80, 0x22]],
    ['a code point beyond the last', [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22]],
    ['a character that is cut off', [0x22, 0xe2, 0x82]],
    ['UTF-16', [0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00]],
  ])('are refused where they are not UTF-8: %s', (_name, bytes) => {
    expect(refusal(Uint8Array.from(bytes))).toBe('The body is not UTF-8.')
  })
})

describe('JSON', () => {
  it.each(['0', '-0', '1e3', '1E-7', '123456789012345678901234567890', '1e999', 'true', 'null', '""', '[]', '{}'])(
    'of one value is what JSON.parse makes of it: %s',
    (text) => {
      expect(parse(` ${text}\n`)).toStrictEqual(JSON.parse(text))
    },
  )

  it('keeps every character, escaped or not', () => {
    const text = '{"é€😀":"\\u0000\\uD83D\\ude00\\\\ud800 \u2028\u007f"}'
    expect(parse(text)).toEqual({ 'é€😀': '\u0000😀\\ud800 \u2028\u007f' })
  })

  it.each([
    '"\\ud800"',
    '"\\uDFFF"',
    '["a\\ude00\\ud83d"]',
    '{"a":"\\ud83dx"}',
    '{"\\uD800":1}',
    '{"a":{"x\\udc00":1}}',
  ])('with a lone surrogate is refused: %s', (text) => {
    expect(refusal(text)).toBe('A string holds a lone surrogate.')
  })

  it('of any shape is what JSON.parse makes of it', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5, stringUnit: 'binary' }), (text) => {
        fc.pre(!/__proto__|constructor|prototype/.test(text))
        expect(parse(text)).toStrictEqual(JSON.parse(text))
      }),
      { numRuns: 200 },
    )
  })

  it('or not, any text is refused, or what JSON.parse makes of it', () => {
    const piece = fc.constantFrom(
      ...Array.from('{}[]":,\\ \n10-.eEu'),
      'null',
      '"a":',
      '"a"',
      '\\u0061',
      '\\"',
      '\\ud83d',
      '\\uDE00',
      '__proto__',
    )
    const soup = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(''))
    fc.assert(
      fc.property(fc.oneof(soup, fc.string({ unit: 'binary' })), (text) => {
        expectRefusedOrSame(utf8.encode(text))
      }),
      { numRuns: 2000 },
    )
    fc.assert(fc.property(fc.uint8Array(), expectRefusedOrSame), { numRuns: 300 })
  })
})

function expectRefusedOrSame(bytes: Uint8Array): void {
  let parsed: unknown
  try {
    parsed = parseStrictJson(bytes)
  } catch (error) {
    expect(error).toBeInstanceOf(StrictJsonError)
    return
  }
  expect(parsed).toStrictEqual(JSON.parse(new TextDecoder().decode(bytes)))
}

describe('the work', () => {
  const MEBIBYTE = 1_048_576
  const manyKeys = Array.from({ length: 80_000 }, (_, i) => `"k${i.toString(36)}" :0`).join(',')
  const texts: [string, string][] = [
    ['backslashes in one string', `"${'\\\\'.repeat(MEBIBYTE / 2)}"`],
    ['backslashes before an escaped quote, again and again', `"${`${'\\\\'.repeat(100)}\\"`.repeat(MEBIBYTE / 202)}"`],
    ['escaped quotes', `"${'\\"'.repeat(MEBIBYTE / 2)}"`],
    ['quotes and backslashes that never end', '"\\'.repeat(MEBIBYTE / 2)],
    ['short keys', `{${manyKeys}}`],
    ['one long key', `{"${'k'.repeat(MEBIBYTE)}":1}`],
    ['short strings as values of one object’s array', `{"a":[${'"b" ,'.repeat(MEBIBYTE / 5)}"b"]}`],
    ['strings with white space behind them', `{${`"a"${' '.repeat(1000)}`.repeat(MEBIBYTE / 1003)}`],
    ['white space behind one key', `{"a"${' '.repeat(MEBIBYTE)}:1}`],
    ['objects side by side', `[${'{"a":1},'.repeat(MEBIBYTE / 8)}{}]`],
    ['closing brackets', '}'.repeat(MEBIBYTE)],
  ]

  it.each(texts)('grows with the length only, for 1 MiB of %s', (_name, text) => {
    const bytes = utf8.encode(text)
    withinCharacters(6 * text.length, () => expectRefusedOrSame(bytes))
  })
})
