import { describe, expect, it, test } from 'vitest'
import type { CborValue } from '../../../../support/cbor.ts'
import { tagged } from '../../../../support/corim/corim.ts'
import { expectInvalid, readMade } from '../../../../support/corim/reading.ts'
import { digest256, digest384, hex384, tdxClaim, tdxReference } from '../../../../support/corim/references.ts'
import { tdxTrustDomain } from '../../../../support/tdx/quote.ts'

const bytes = (length: number) => Buffer.alloc(length, 0x77)
const hex = (text: string) => Buffer.from(text, 'hex')
const read = (changes: Parameters<typeof tdxReference>[0], partial = false) =>
  readMade({ profile: 'tdx', references: [tdxReference(changes)] }, { partial })
const readClaims = (...claims: CborValue[]) => read({ claims }).values
const registers = (entries: [CborValue, CborValue][]) => tdxClaim({ 14: new Map(entries) })
const place = 'tags[0].triples.reference-triples[0]'
const member = (...digests: CborValue[]) => tagged(60020, [6, digests])
const { mrTd, rtmr0, rtmr1, rtmr2 } = tdxTrustDomain

describe('a trust domain', () => {
  it('has MRTD by tee.mrtee, and its registers by their numbers', () => {
    expect(read({})).toMatchObject({
      format: 'tdx',
      profile: '2.16.840.1.113741.1.16.1',
      values: [{ mrTd, rtmr0, rtmr1, rtmr2 }],
      notTaken: [],
    })
  })

  test.each<[string, CborValue[], object]>([
    ['a digest', [tdxClaim({ [-83]: digest384(1) })], { mrTd: hex384(1) }],
    ['an array of one', [tdxClaim({ [-83]: [digest384(1)] })], { mrTd: hex384(1) }],
    ['a set of one', [tdxClaim({ [-83]: member(digest384(1)) })], { mrTd: hex384(1) }],
    ['digests under the key 83', [tdxClaim({ 2: [digest384(1)] }, { 0: 83 })], { mrTd: hex384(1) }],
    ['tee.mrtee under the key 83', [tdxClaim({ [-83]: digest384(1) }, { 0: 83 })], { mrTd: hex384(1) }],
    ['registers by name', [registers([['rtmr3', [['sha-384', bytes(48)]]]])], { rtmr3: hex384(0x77) }],
    [
      'several measurements',
      [registers([[0, [digest384(2)]]]), tdxClaim({ [-83]: digest384(1) }), registers([['rtmr1', [digest384(3)]]])],
      { mrTd: hex384(1), rtmr0: hex384(2), rtmr1: hex384(3) },
    ],
  ])('may say so by %s', (_, claims, value) => {
    expect(readClaims(...claims)).toEqual([value])
  })

  it('that may be one of several is a value for each', () => {
    const claim = tdxClaim({
      [-83]: member(digest384(1), digest384(2)),
      14: new Map([['rtmr0', [digest384(3), digest384(4)]]]),
    })
    expect(readClaims(claim)).toEqual([
      { mrTd: hex384(1), rtmr0: hex384(3) },
      { mrTd: hex384(1), rtmr0: hex384(4) },
      { mrTd: hex384(2), rtmr0: hex384(3) },
      { mrTd: hex384(2), rtmr0: hex384(4) },
    ])
  })

  it('may be one of 64', () => {
    const many = (count: number) => Array.from({ length: count }, (_, index) => digest384(index))
    const claim = (count: number) =>
      registers([
        [0, many(8)],
        [1, many(count)],
      ])
    expect(readClaims(claim(8))).toHaveLength(64)
    expectInvalid(() => readClaims(claim(9)), `${place} allows more than 64 states of its registers`)
  })

  it('names vendor and model of its class for people', () => {
    const { notTaken } = read({ class: { 1: 'Acme', 2: 'Image 7' } })
    expect(notTaken.map((what) => what.split('.').at(-1))).toEqual(['vendor: for people', 'model: for people'])
  })

  test.each<[string, Parameters<typeof tdxReference>[0], string]>([
    ['the TDX module', { class: { 0: tagged(111, hex('6086480186f84d0102030403')) } }, 'of something that Intel makes'],
    ['no class id', { class: { 0: undefined, 1: 'Acme' } }, 'class-id is of no kind that is known'],
    ['no register', { claims: [tdxClaim({ 2: [digest384(1)] })] }, 'mval.digests: of what they are no mkey says'],
    ['another key', { claims: [tdxClaim({ 2: [digest384(1)] }, { 0: 84 })] }, 'ref-claims[0].mkey is not understood'],
    [
      'a text key',
      { claims: [tdxClaim({ [-83]: digest384(1) }, { 0: 'mrtd' })] },
      'ref-claims[0].mkey is not understood',
    ],
    ['tee.mrtee of SHA-256', { claims: [tdxClaim({ [-83]: digest256(1) })] }, 'mval.tee.mrtee is no SHA-384'],
    ['two tee.mrtee', { claims: [tdxClaim({ [-83]: [digest384(1), digest384(2)] })] }, 'more than the one digest'],
    ['tee.mrtee that is text', { claims: [tdxClaim({ [-83]: 'x' })] }, 'mval.tee.mrtee is no array'],
    ['no member', { claims: [tdxClaim({ [-83]: tagged(60020, [7, [digest384(1)]]) })] }, 'no expression of members'],
    [
      'another expression',
      { claims: [tdxClaim({ [-83]: tagged(60021, [6, [digest384(1)]]) })] },
      'no expression of members',
    ],
    [
      'an expression of three',
      { claims: [tdxClaim({ [-83]: tagged(60020, [6, [digest384(1)], 0]) })] },
      'no expression of members',
    ],
    ['a set of none', { claims: [tdxClaim({ [-83]: tagged(60020, [6, []]) })] }, 'mval.tee.mrtee is no array'],
    ['a set of SHA-256', { claims: [tdxClaim({ [-83]: member(digest256(1)) })] }, 'mval.tee.mrtee is no SHA-384'],
    [
      'two digests of the key 83',
      { claims: [tdxClaim({ 2: [digest384(1), digest384(2)] }, { 0: 83 })] },
      'more than the one',
    ],
    [
      'MRTD twice',
      { claims: [tdxClaim({ [-83]: digest384(1) }), tdxClaim({ [-83]: digest384(1) })] },
      'says twice what mrTd is',
    ],
    [
      'MRTD in two ways',
      { claims: [tdxClaim({ [-83]: digest384(1), 2: [digest384(1)] }, { 0: 83 })] },
      'says twice what mrTd is',
    ],
    [
      'a register twice',
      {
        claims: [
          registers([
            [0, [digest384(1)]],
            ['rtmr0', [digest384(1)]],
          ]),
        ],
      },
      'says twice what rtmr0 is',
    ],
    ['a register 4', { claims: [registers([[4, [digest384(1)]]])] }, 'integrity-registers.4 is none of'],
    ['a register "0"', { claims: [registers([['0', [digest384(1)]]])] }, 'integrity-registers.0 is none of'],
    ['a register of another name', { claims: [registers([['xrtmr0', [digest384(1)]]])] }, 'xrtmr0 is none of'],
    ['a register of a longer name', { claims: [registers([['rtmr01', [digest384(1)]]])] }, 'rtmr01 is none of'],
    ['a register of bytes', { claims: [registers([[bytes(1), [digest384(1)]]])] }, 'is none of 0 to 3'],
    ['a register of no digest', { claims: [registers([[0, []]])] }, 'integrity-registers.0 is no array'],
    ['a register of SHA-256', { claims: [registers([[0, [digest256(1)]]])] }, 'integrity-registers.0 is no SHA-384'],
    ['no registers', { claims: [tdxClaim({ 14: new Map() })] }, 'mval.integrity-registers is no map'],
    ['a member that nobody knows', { claims: [tdxClaim({ [-99]: 1 })] }, 'mval has a member -99'],
  ])('with %s is refused', (_, changes, what) => {
    expectInvalid(() => read(changes), what)
  })

  it('of which nothing is left in part is refused', () => {
    expectInvalid(
      () => read({ claims: [tdxClaim({ [-73]: 6 })] }, true),
      `${place} has neither tee.mrtee nor integrity`,
    )
  })

  test.each<[string, Parameters<typeof tdxReference>[0]]>([
    ['ref-claims[0].mval.tee.vendor: of a trust domain', { claims: [tdxClaim({ [-83]: digest384(1), [-70]: 'x' })] }],
    [
      'ref-claims[0].mval.tee.attributes: of a trust domain',
      { claims: [tdxClaim({ [-83]: digest384(1), [-82]: bytes(8) })] },
    ],
    ['ref-claims[0].mval.tee.isvsvn: of a trust domain', { claims: [tdxClaim({ [-83]: digest384(1), [-73]: 6 })] }],
    ['ref-claims[0].mval.svn: of a trust domain', { claims: [tdxClaim({ [-83]: digest384(1), 1: 6 })] }],
    ['ref-env.instance: of these alone', { environment: { 1: tagged(37, bytes(16)) } }],
    ['ref-env.class.layer: of these alone', { class: { 3: 0 } }],
  ])('that has to be so in more is refused, unless it is wanted in part: %s', (what, changes) => {
    expectInvalid(() => read(changes), `${place}.${what}: no reference value can say that`)
    expect(read(changes, true)).toMatchObject({
      values: [expect.objectContaining({ mrTd: expect.any(String) })],
      notTaken: [`tags[].triples.reference-triples[].${what.replace(/\[\d\]/, '[]')}`],
    })
  })
})
