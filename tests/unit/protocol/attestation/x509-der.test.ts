import { describe, expect, test } from 'vitest'
import { derChildren, derParts, parseDer } from '../../../../protocol/attestation/x509/der.ts'
import { derBits, derId, derInteger, derNull, derOctets, derSequence } from '../../../support/der.ts'

const malformed = expect.objectContaining({ code: 'evidence_malformed' })
const hex = (text: string) => Buffer.from(text, 'hex')

test('a value is read with its children, all of them views of the same bytes', () => {
  const bytes = derSequence(derId('2.5.29.15'), derSequence(derInteger(300), derBits(Buffer.alloc(200))), derNull)
  const { children, ...element } = parseDer(bytes, 0x30)
  expect(element).toEqual({ tag: 0x30, der: bytes, content: bytes.subarray(3) })
  expect(children.map(({ tag, content }) => [tag, Buffer.from(content).toString('hex')])).toEqual([
    [0x06, '551d0f'],
    [0x30, `0202012c0381c900${'00'.repeat(200)}`],
    [0x05, ''],
  ])
  expect(children.every(({ der }) => der.buffer === bytes.buffer)).toBe(true)
})

test.each([
  '0101ff',
  '010100',
  '020100',
  '0201ff',
  '0202ff7f',
  '02020080',
  '030100',
  '03020780',
  '0500',
  '06012a',
  '06038837 03',
  '170d3330303130313030303030305a',
  '180f32303330303130313030303030305a',
  '060481808001',
  '3000',
  '3100',
  '0c00',
  'a000',
  '8000',
  '0400',
])('a value in its one form is read: %s', (text) => {
  const bytes = hex(text.replace(' ', ''))
  expect(parseDer(bytes, bytes[0] as number).der).toEqual(bytes)
})

test.each([127, 128, 255, 256, 32_767, 32_768, 65_535])('a value of %i bytes is read', (length) => {
  const bytes = derOctets(Buffer.alloc(length))
  expect(parseDer(bytes, 0x04).content).toHaveLength(length)
})

test('the parts of a structure are those of its type, in their order and number', () => {
  const element = parseDer(derSequence(derNull, derInteger(1)), 0x30)
  expect(derChildren(element, 0x05, 0x02)).toBe(element.children)
  expect(derParts(element, /^05( 02)+$/)).toBe(element.children)
  for (const tags of [[0x02, 0x05], [0x05], [0x05, 0x05], [0x05, 0x02, 0x02]])
    expect(() => derChildren(element, ...tags)).toThrow(malformed)
  expect(() => derParts(element, /^02 05$/)).toThrow(malformed)
})

test('a value of another type than the one that is wanted is refused', () => {
  expect(() => parseDer(derNull, 0x30)).toThrow(malformed)
})

test.each([
  ['nothing', ''],
  ['a tag alone', '30'],
  ['an indefinite length', '30800000'],
  ['a length that is not minimal', '308100'],
  ['a length of two bytes where one is enough', `048200ff${'aa'.repeat(255)}`],
  ['a length of three bytes', `0483010000${'aa'.repeat(256)}`],
  ['an indefinite length before that many bytes', `0480${'aa'.repeat(128)}`],
  ['a constructed end of contents', '2000'],
  ['a length beyond the end', '300305'],
  ['a length of which a byte lacks', '3082ff'],
  ['a tag of several bytes', '1f00'],
  ['a tag of several bytes in a class of its own', '9f00'],
  ['a time of letters', '170d6162636465666768696a6b6c5a'],
  ['a time with a sign', '170d2b30313031303030303030305a'],
  ['a time without its zone', '170d33303031303130303030303030'],
  ['a shorter time', '170c33303031303130303030305a'],
  ['a longer time of letters', '180f6162636465666768696a6b6c6d6e5a'],
  ['a longer time without its zone', '180f323033303031303130303030303030'],
  ['a boolean of two bytes', '01020000'],
  ['a boolean that is neither', '010101'],
  ['an empty integer', '0200'],
  ['an integer with a zero too many', '02020001'],
  ['an integer with a sign too many', '0202ff80'],
  ['an empty bit string', '0300'],
  ['more than seven unused bits', '03020800'],
  ['unused bits of nothing', '030101'],
  ['unused bits that are not zero', '03020101'],
  ['a NULL that holds something', '050100'],
  ['an empty OID', '0600'],
  ['an OID that ends within a number', '06022a86'],
  ['an OID that ends within a number of zeros', '06032a8180'],
  ['an OID with a zero too many', '06032a8001'],
  ['an OID that begins with a zero too many', '06028001'],
  ['an octet string in parts', '24040402aaaa'],
  ['a sequence that is primitive', '1000'],
  ['a set that is primitive', '1100'],
  ['an end of contents', '0000'],
  ['a value behind the first', '05000500'],
])('what has %s is refused', (_, text) => {
  expect(() => parseDer(hex(text), Number.parseInt(text.slice(0, 2), 16))).toThrow(malformed)
})

test('what is nested too deep is refused', () => {
  const nested = (depth: number): Buffer => (depth === 0 ? derNull : derSequence(nested(depth - 1)))
  expect(() => parseDer(nested(16), 0x30)).not.toThrow()
  expect(() => parseDer(nested(17), 0x30)).toThrow(malformed)
  expect(() => parseDer(nested(1000), 0x30)).toThrow(malformed)
})

describe('tags of several bytes, where they are taken,', () => {
  const inSequence = (text: string) => parseDer(derSequence(hex(text)), 0x30, { longTags: true }).children

  test.each([
    ['bf1f020500', 0xbf1f],
    ['bf7f020500', 0xbf7f],
    ['bf8100020500', 0xbf8100],
    ['bf8540020500', 0xbf8540],
    ['bfff7f020500', 0xbfff7f],
    ['9f854000', 0x9f8540],
    ['a1020500', 0xa1],
  ])('are read with what they hold: %s', (text, tag) => {
    const [element] = inSequence(text)
    expect(element?.tag).toBe(tag)
    expect(element?.children.map((child) => child.tag)).toEqual(tag === 0x9f8540 ? [] : [0x05])
  })

  test.each([
    ['a number that fits into one byte', 'bf1e020500'],
    ['a number with a zero too many', 'bf8040020500'],
    ['four bytes', 'bf818000020500'],
    ['no number', 'bf'],
    ['half a number', 'bf85'],
    ['no length', 'bf8540'],
    ['an indefinite length', 'bf85408005000000'],
    ['a length that is not minimal', 'bf854081020500'],
    ['a length beyond the end', 'bf8540030500'],
    ['a type that all know', '1f2000'],
    ['a constructed type that all know', '3f200505'],
    ['a value that is not in its one form', 'bf8540030101aa'],
  ])('are refused with %s', (_, text) => {
    expect(() => inSequence(text)).toThrow(malformed)
  })

  test('are refused in certificates, and wherever nobody asked for them', () => {
    expect(() => parseDer(derSequence(hex('bf8540020500')), 0x30)).toThrow(malformed)
  })
})
