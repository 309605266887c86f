import { describe, expect, test } from 'vitest'
import { parseCbor } from '../../../../protocol/attestation/cbor.ts'
import { evidenceFormatNames } from '../../../../protocol/attestation/evidence-format.ts'
import { evidenceFormats } from '../../../../protocol/attestation/formats.ts'
import { type Json, toBase64url } from '../../../../protocol/encoding.ts'
import { type CborValue, cbor, cborHead, RawCbor } from '../../../support/cbor.ts'
import { listHugeValues, MEMBERS } from '../../../support/huge-bodies.ts'

const malformed = expect.objectContaining({ code: 'evidence_malformed' })
const numbers = Array.from({ length: MEMBERS }, (_, i) => i)

describe.each(evidenceFormatNames)('evidence %s', (name) => {
  const { parse } = evidenceFormats[name]
  const values = listHugeValues(200_000, 2).filter(({ isJson }) => isJson)

  test.each(values)('is malformed with $what', ({ json }) => {
    const value = JSON.parse(json) as Json
    expect(() => parse({ format: name, more: value })).toThrow(malformed)
    if (typeof value !== 'object' || Array.isArray(value)) return
    expect(() => parse({ format: name, ...value })).toThrow(malformed)
  })

  test('is malformed where each text that it may have is 1 MiB of zeros', () => {
    const zeros = toBase64url(new Uint8Array(700_000))
    const members = ['token', 'report', 'quote', 'certificates', 'attestation', 'assertion', 'chain', 'akPublic']
    for (const member of members) {
      for (const value of [zeros, [zeros], { [member]: zeros }]) {
        expect(() => parse({ format: name, [member]: value })).toThrow(malformed)
      }
    }
  })
})

describe('CBOR of evidence', () => {
  const nest = (depth: number) => Buffer.concat([...Array.from({ length: depth }, () => cborHead(4, 1)), cbor(0)])
  const mapOf = (pairs: readonly (readonly [CborValue, CborValue])[]) =>
    Buffer.concat([cborHead(5, pairs.length), ...pairs.flat().map(cbor)])

  test('of 10,000 members, of 10,000 elements and of eight levels is read', () => {
    const options = { preferred: true }
    expect(parseCbor(mapOf(numbers.map((i) => [i, 0])), options)).toEqual(new Map(numbers.map((i) => [i, 0])))
    expect(parseCbor(mapOf(numbers.map((i) => [String(i), 0])), options)).toHaveProperty('size', MEMBERS)
    expect(parseCbor(cbor(numbers), options)).toEqual(numbers)
    expect(parseCbor(nest(8), options)).toEqual([[[[[[[[0]]]]]]]])
  })

  test('has the texts that stand in it, with a byte order mark at their beginning', () => {
    expect(parseCbor(cbor('\ufeffa'), { preferred: true })).toBe('\ufeffa')
  })

  test.each([
    ['nine levels', nest(9)],
    ['100,000 levels', nest(100_000)],
    ['the same member 10,000 times', mapOf(numbers.map(() => ['a', 0]))],
    ['10,000 members of which the last is the first', mapOf([...numbers.slice(1).map((i) => [i, 0] as const), [1, 0]])],
    ['an array that says 2^32 elements', cborHead(4, 2 ** 32)],
    ['an array that says 2^53 elements', Buffer.from('9b0020000000000000', 'hex')],
    ['an array that says more than a number can', Buffer.from('9bffffffffffffffff', 'hex')],
    ['a map that says 2^32 members', cborHead(5, 2 ** 32)],
    ['a text that says 2^32 bytes', cborHead(3, 2 ** 32)],
    ['bytes that say more than a number can', Buffer.from('5bffffffffffffffff', 'hex')],
    ['an array without an end', Buffer.concat([Buffer.of(0x9f), cbor(numbers).subarray(3)])],
    ['a number of 10,000 bytes', Buffer.concat([Buffer.of(0xc2), cbor(new Uint8Array(MEMBERS))])],
    ['10,000 tags', Buffer.concat([Buffer.alloc(MEMBERS, 0xc1), cbor(0)])],
    ['a text that is no UTF-8', cbor(new RawCbor('62c0af'))],
    ['two members that differ in what is no UTF-8', cbor(new RawCbor('a261ff0061fe00'))],
    ['a text with a surrogate', cbor(new RawCbor('63eda080'))],
    ['something behind its end', Buffer.concat([cbor(0), Buffer.alloc(MEMBERS)])],
  ])('is malformed with %s', (_what, bytes) => {
    expect(() => parseCbor(bytes, { preferred: true })).toThrow(malformed)
    expect(() => parseCbor(bytes, { preferred: false })).toThrow(malformed)
  })
})
