/** Pieces of JSON that cost a careless reader much more than their length. */

/** What stands in the place of a value. */
export interface HugeValue {
  what: string
  json: string
  /** Whether a strict reader takes it as JSON at all. */
  isJson: boolean
}

export const MEMBERS = 10_000

/** Short enough that 8,000 of them fit into 64 KiB. */
export const key = (index: number) => index.toString(36)
const list = (count: number, of: (index: number) => string) => Array.from({ length: count }, (_, i) => of(i)).join(',')
const nest = (depth: number, [open, close]: [string, string] = ['[', ']']) =>
  `${open.repeat(depth)}1${close.repeat(depth)}`

/** Of at most `maxBytes`. `depth`: in how many arrays and objects the value will stand. */
export function listHugeValues(maxBytes: number, depth: number): HugeValue[] {
  const fill = (piece: string) => piece.repeat(Math.floor(maxBytes / piece.length))
  const levels = 8 - depth
  const good: [string, string][] = [
    ['an object of 10,000 members', `{${list(MEMBERS, (i) => `"${key(i)}":0`)}}`],
    // To a table of 4,096 places that takes a number for its own hash, all of these are one.
    ['an object of members that share a hash', `{${list(4_000, (i) => `"${i * 4_096}":0`)}}`],
    ['an object of members that are alike but for their end', `{${list(400, (i) => `"${'k'.repeat(150)}${i}":0`)}}`],
    ['an array of 10,000 numbers', `[${list(MEMBERS, () => '0')}]`],
    ['an array of 10,000 empty objects', `[${list(MEMBERS, () => '{}')}]`],
    ['an array of 10,000 texts', `[${list(MEMBERS, () => '""')}]`],
    ['as many levels as there may be', nest(levels)],
    ['as many levels of objects', nest(levels, ['{"a":', '}'])],
    ['a key as long as the body', `{"${fill('k')}":0}`],
    ['a text as long as the body', `"${fill('t')}"`],
    ['a text of escapes', `"${fill('\\u0041')}"`],
    ['a text of escaped backslashes', `"${fill('\\\\')}"`],
    ['a text of escaped quotes', `"${fill('\\"')}"`],
    ['a text of pairs of surrogates', `"${fill('\\ud83d\\ude00')}"`],
    ['a text of marks that combine', `"${fill('\u0301')}"`],
    ['a number of 10,000 digits', '9'.repeat(MEMBERS)],
    ['a fraction of 10,000 digits', `0.${'1'.repeat(MEMBERS)}`],
    ['a number with an exponent of 10,000 digits', `1e${'9'.repeat(MEMBERS)}`],
    ['white space as long as the body', `${fill(' ')}0`],
  ]
  const bad: [string, string][] = [
    ['one level too many', nest(levels + 1)],
    ['one level of objects too many', nest(levels + 1, ['{"a":', '}'])],
    ['as many levels as fit', nest(Math.floor(maxBytes / 2) - 1)],
    ['brackets that do not end', fill('[')],
    ['an object of the same member', `{${list(MEMBERS, () => '"a":0')}}`],
    ['an object whose last member is the first again', `{${list(4_000, (i) => `"${key(i)}":0`)},"0":0}`],
    ['a lone surrogate', '"\\ud800"'],
    ['a surrogate the wrong way round', '"\\ude00\\ud83d"'],
    ['a text of lone surrogates', `"${fill('\\udfff')}"`],
    ['a text that does not end', `"${fill('\\"')}`],
    ['a byte order mark', '\ufeff0'],
    ['a number with a zero before it', `${'0'.repeat(MEMBERS)}1`],
  ]
  const all = [...good.map((pair) => [...pair, true] as const), ...bad.map((pair) => [...pair, false] as const)]
  return all
    .filter(([, json]) => Buffer.byteLength(json) <= maxBytes)
    .map(([what, json, isJson]) => ({ what, json, isJson }))
}

/** In the place of a value too, and no UTF-8 (RFC 3629 §3). */
export const notUtf8: [what: string, bytes: number[]][] = [
  ['a byte that begins nothing', [0x80]],
  ['a sequence that is cut off', [0xe2, 0x82]],
  ['a slash written longer', [0xc0, 0xaf]],
  ['a quote written longer', [0xe0, 0x80, 0xa2]],
  ['a surrogate', [0xed, 0xa0, 0x80]],
  ['beyond Unicode', [0xf4, 0x90, 0x80, 0x80]],
  ['a mark of UTF-16', [0xff, 0xfe]],
]
