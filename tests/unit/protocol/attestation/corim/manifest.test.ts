import { describe, expect, it, test } from 'vitest'
import { MAX_CORIM_BYTES } from '../../../../../protocol/attestation/corim/envelope.ts'
import { type CborValue, cbor, cborHead, RawCbor } from '../../../../support/cbor.ts'
import {
  type CorimChanges,
  corimNow,
  epochTime,
  makeComid,
  makeCorim,
  members,
  tagged,
} from '../../../../support/corim/corim.ts'
import { expectInvalid, readBytesOf, readMade } from '../../../../support/corim/reading.ts'
import { psaClaim, psaReference } from '../../../../support/corim/references.ts'

const good: CorimChanges = { references: [psaReference()] }
const read = (changes: CorimChanges, partial = false) => readMade({ ...good, ...changes }, { partial })
const uuid = Buffer.from('00112233445566778899aabbccddeeff', 'hex')
const seconds = corimNow / 1000
const float = new RawCbor('fb3ff0000000000000')
const link = (relation: CborValue, id: CborValue = 'another tag') => ({ 3: [members({ 0: id, 1: relation })] })
const record = [members({ 0: members({ 0: tagged(560, uuid) }) }, {}), [psaClaim()]]

describe('a CoRIM', () => {
  it('says what it is, and that nobody signed it', () => {
    expect(read({})).toMatchObject({
      id: 'a release',
      profile: 'tag:arm.com,2025:psa#1.0.0',
      format: 'psa',
      signerName: null,
      isVerified: false,
      notAfterAt: null,
      notTaken: [],
    })
    expect(read({ corim: { 0: uuid } }).id).toBe('00112233-4455-6677-8899-aabbccddeeff')
  })

  it('may have its profile in an array of one, as drafts had it', () => {
    expect(read({ corim: { 3: [tagged(32, 'tag:arm.com,2025:psa#1.0.0')] } }).format).toBe('psa')
  })

  it('gives the values of all of its CoMIDs', () => {
    const other = makeComid({ comid: { 1: members({ 0: uuid, 1: 7 }) }, references: [psaReference()] })
    expect(read({ corim: { 1: [makeComid(good), other] } }).values).toHaveLength(2)
  })

  test.each<[string, CorimChanges, string[]]>([
    [
      'advice where more is',
      { corim: { 2: [members({ 0: tagged(32, 'https://x') })] } },
      ['dependent-rims: for people'],
    ],
    ['who made it', { corim: { 5: [members({ 0: 'Acme', 2: [1] })] } }, ['entities: for people']],
    ['software ids', { corim: { 1: [tagged(505, cbor(new Map([[0, 'x']]))), makeComid(good)] } }, ['tags[]: a CoSWID']],
    ['a language', { comid: { 0: 'en-GB' } }, ['tags[].language: for people']],
    ['who made a tag', { comid: { 2: [members({ 0: 'Acme', 2: [0] })] } }, ['tags[].entities: for people']],
    ['tags that it supplements', { comid: link(0) }, ['tags[].linked-tags[]: it supplements the tag another tag']],
    ['endorsed values', { triples: { 1: [record] } }, ['tags[].triples.endorsed-triples: 1 of them']],
    ['identity keys', { triples: { 2: [record, record] } }, ['tags[].triples.identity-triples: 2 of them']],
    ['attestation keys', { triples: { 3: [record] } }, ['tags[].triples.attest-key-triples: 1 of them']],
    ['members', { triples: { 5: [record] } }, ['tags[].triples.membership-triples: 1 of them']],
    ['software of an environment', { triples: { 6: [record] } }, ['tags[].triples.coswid-triples: 1 of them']],
    [
      'series of endorsements',
      { triples: { 8: [record] } },
      ['tags[].triples.conditional-endorsement-series-triples: 1 of them'],
    ],
    ['endorsements', { triples: { 10: [record] } }, ['tags[].triples.conditional-endorsement-triples: 1 of them']],
    ['updates of PSA software', { triples: { 50: [record] } }, ['tags[].triples.psa-swrel-triples: 1 of them']],
  ])('is taken without %s, and says so', (_, changes, notTaken) => {
    expect(read(changes)).toMatchObject({ notTaken, values: read({}).values })
  })

  it('lists what is the same in many places once', () => {
    const other = makeComid({ ...good, comid: { 0: 'de', 1: members({ 0: uuid }) } })
    const { notTaken } = read({ corim: { 1: [makeComid({ ...good, comid: { 0: 'en' } }), other] } })
    expect(notTaken).toEqual(['tags[].language: for people (2 times)'])
  })

  test.each<[string, CorimChanges, string, string]>([
    [
      'that has to be trusted with others',
      { triples: { 4: [record] } },
      'tags[0].triples.dependency-triples: what else has to be trusted',
      'tags[].triples.dependency-triples: what else has to be trusted',
    ],
    [
      'that replaces another tag',
      { comid: link(1, uuid) },
      'tags[0].linked-tags[0]: it replaces the tag 00112233-4455-6677-8899-aabbccddeeff',
      'tags[].linked-tags[]: it replaces the tag 00112233-4455-6677-8899-aabbccddeeff, whose values have to be removed',
    ],
    [
      'on the word of somebody',
      { references: [psaReference({ claims: [psaClaim({}, { 2: [tagged(554, 'a key')] })] })] },
      'tags[0].triples.reference-triples[0].ref-claims[0].authorized-by: whose word it has to be',
      'tags[].triples.reference-triples[].ref-claims[].authorized-by: whose word it has to be',
    ],
  ])('%s is refused, unless it is wanted in part', (_, changes, refused, listed) => {
    expectInvalid(() => read(changes), `${refused}`)
    expectInvalid(() => read(changes), /no reference value can say that, and without it would allow more\.$/)
    expect(read(changes, true).notTaken).toEqual([listed])
  })

  test.each<[string, CorimChanges, string]>([
    ['an id that is none', { corim: { 0: 7 } }, 'id is no text'],
    ['an empty id', { corim: { 0: '' } }, 'id is no text'],
    ['no id', { corim: { 0: undefined } }, 'id is no text'],
    ['an id that is no UTF-8', { corim: { 0: new RawCbor('61ff') } }, 'its texts UTF-8'],
    ['an id of 15 bytes', { corim: { 0: uuid.subarray(1) } }, 'id is neither text nor a UUID'],
    ['no tags', { corim: { 1: undefined } }, 'tags is no array'],
    ['an empty array of tags', { corim: { 1: [] } }, 'tags is no array'],
    ['a CoMID without its tag', { corim: { 1: [uuid] } }, 'tags[0] has no tag'],
    ['a list of the tags that hold', { corim: { 1: [makeComid(good), tagged(508, uuid)] } }, 'tags[1]: a CoTL'],
    ['a tag of another kind', { corim: { 1: [tagged(507, uuid)] } }, 'tags[0] has not the tag 506'],
    ['a CoMID that is no byte string', { corim: { 1: [tagged(506, 'x')] } }, 'tags[0] is no byte string'],
    ['a CoMID that is no CBOR', { corim: { 1: [tagged(506, Buffer.of(0xff))] } }, 'tags[0] is not CBOR'],
    ['a CoMID that is no map', { corim: { 1: [tagged(506, cbor([1]))] } }, 'tags[0] is no map'],
    ['no profile', { corim: { 3: undefined } }, 'profile is not there'],
    ['an unknown profile', { corim: { 3: tagged(32, 'https://x') } }, 'profile "https://x" is not known'],
    ['an unknown object identifier', { corim: { 3: tagged(111, Buffer.of(0x2a)) } }, 'profile "OID 2a" is not known'],
    ['a profile that is plain text', { corim: { 3: 'http://arm.com/psa/iot/1' } }, 'neither a URI nor an OID'],
    ['a profile of nothing', { corim: { 3: null } }, 'neither a URI nor an OID'],
    ['a profile of another tag', { corim: { 3: tagged(37, uuid) } }, 'neither a URI nor an OID'],
    ['a profile that is no text', { corim: { 3: tagged(32, 7) } }, 'profile is no text'],
    ['a profile that is no bytes', { corim: { 3: tagged(111, '1.2') } }, 'profile is no byte string'],
    [
      'two profiles',
      { corim: { 3: [tagged(32, 'tag:arm.com,2025:psa#1.0.0'), tagged(32, 'http://arm.com/psa/iot/1')] } },
      'profile names more than one',
    ],
    ['an empty array of profiles', { corim: { 3: [] } }, 'profile is not there'],
    ['a member that nobody knows', { corim: { 6: 1 } }, 'The CoRIM has a member 6, which is not understood'],
    ['a negative member', { corim: { [-1]: 1 } }, 'The CoRIM has a member -1'],
    ['no tag identity', { comid: { 1: undefined } }, 'tags[0].tag-identity is no map'],
    ['no tag id', { comid: { 1: members({ 1: 7 }) } }, 'tag-identity.tag-id is no text'],
    ['more of an identity', { comid: { 1: members({ 0: 'x', 2: 7 }) } }, 'tags[0].tag-identity has a member 2'],
    ['more of a CoMID', { comid: { 5: 1 } }, 'tags[0] has a member 5'],
    ['no triples', { comid: { 4: undefined } }, 'tags[0].triples is no map'],
    ['no kind of triples', { comid: { 4: new Map() } }, 'tags[0].triples is no map'],
    ['triples of an unknown kind', { triples: { 7: [record] } }, 'tags[0].triples has a member 7'],
    ['triples that are no array', { triples: { 1: 7 } }, 'triples.endorsed-triples is no array'],
    ['no reference values', { triples: { 0: undefined, 3: [record] } }, 'there are no reference-triples'],
    ['an empty array of them', { references: [] }, 'triples.reference-triples is no array'],
    ['a reference that is no array', { references: [7] }, 'reference-triples[0] is no array'],
    [
      'a reference of three parts',
      { references: [[...(psaReference() as CborValue[]), 7]] },
      'more than an environment',
    ],
    ['a reference of no measurements', { references: [psaReference({ claims: [] })] }, 'ref-claims is no array'],
    ['a measurement that is no map', { references: [psaReference({ claims: [7] })] }, 'ref-claims[0] is no map'],
    [
      'more of a measurement',
      { references: [psaReference({ claims: [psaClaim({}, { 3: 7 })] })] },
      'ref-claims[0] has a member 3',
    ],
    [
      'no measured values',
      { references: [psaReference({ claims: [psaClaim({}, { 1: undefined })] })] },
      'ref-claims[0].mval is no map',
    ],
    [
      'measured values that nobody knows',
      { references: [psaReference({ claims: [psaClaim({ 12: 7 })] })] },
      'ref-claims[0].mval has a member 12',
    ],
    ['links that are no array', { comid: { 3: 7 } }, 'linked-tags is no array'],
    ['a link of another kind', { comid: link(2) }, 'linked-tags[0].tag-rel is not understood'],
    ['a link to nothing', { comid: link(0, 7) }, 'linked-tags[0].linked-tag-id is no text'],
    ['more of a link', { comid: { 3: [members({ 0: 'x', 1: 0, 2: 7 })] } }, 'linked-tags[0] has a member 2'],
    ['a number that is a float', { comid: { 1: members({ 0: 'x', 1: float }) } }, 'tags[0] is not CBOR'],
    ['two tags of one id', { corim: { 1: [makeComid(good), makeComid(good)] } }, 'two of them have the same tag-id'],
    ['more than 64 values', { references: Array.from({ length: 65 }, () => psaReference()) }, 'more than 64'],
  ])('with %s is refused', (_, changes, what) => {
    expectInvalid(() => read(changes), what)
  })

  it('has at most 64 values', () => {
    expect(read({ references: Array.from({ length: 64 }, () => psaReference()) }).values).toHaveLength(64)
  })

  it('that holds a tag and what replaces it is refused, also in part', () => {
    const replacing = makeComid({ ...good, comid: { 1: members({ 0: uuid }), ...link(1, 'a tag') } })
    expectInvalid(
      () => read({ corim: { 1: [makeComid(good), replacing] } }, true),
      'tags: a tag is in it, and replaced by another one',
    )
  })

  it('whose value the service would not take is refused with the member that is wrong', () => {
    const references = [psaReference({ claims: [psaClaim({ 11: 'x'.repeat(65) })] })]
    expectInvalid(() => read({ references }), 'Value 1 is no reference value of psa: components.0.type: ')
  })
})

describe('the time of a CoRIM', () => {
  const valid = (validity: CborValue) => read({ corim: { 4: validity } })

  it('is from its beginning to its end, both inclusive', () => {
    expect(valid(members({ 0: epochTime(seconds), 1: epochTime(seconds) })).notAfterAt).toBe(corimNow)
    expect(valid(members({ 0: epochTime(seconds) })).notAfterAt).toBeNull()
    expect(valid(members({ 1: epochTime(253_402_300_799) })).notAfterAt).toBe(253_402_300_799_000)
  })

  test.each<[string, CborValue, string]>([
    ['before it', members({ 0: epochTime(seconds + 1) }), 'rim-validity: it is not valid before 2026-11-29T00:00:01'],
    ['after it', members({ 1: epochTime(seconds - 1) }), 'rim-validity: it was valid until 2026-11-28T23:59:59'],
    ['in no time', new Map(), 'rim-validity is no map'],
    ['more than two times', members({ 1: epochTime(seconds), 2: epochTime(0) }), 'rim-validity has a member 2'],
    ['a time without a tag', members({ 1: seconds }), 'rim-validity has not the tag 1'],
    ['a time of nothing', members({ 1: null }), 'rim-validity has not the tag 1'],
    ['a time as text', members({ 1: tagged(0, '2030-01-01T00:00:00Z') }), 'rim-validity has not the tag 1'],
    ['a time that is text', members({ 1: tagged(1, 'x') }), 'rim-validity is no time'],
    ['a time before 1970', members({ 0: tagged(1, -1) }), 'rim-validity is no time'],
    ['a time of the year 10000', members({ 1: epochTime(253_402_300_800) }), 'rim-validity is no time'],
    ['a float', members({ 1: tagged(1, float) }), 'The CoRIM is not CBOR'],
  ])('is no other: %s', (_, validity, what) => {
    expectInvalid(() => valid(validity), what)
  })
})

describe('bytes that are no CoRIM', () => {
  const nested = (depth: number): CborValue => (depth === 0 ? 0 : [nested(depth - 1)])
  const tags = Buffer.alloc(40_000, Buffer.from('d820', 'hex'))
  const whole = makeCorim(good)

  test.each<[string, Uint8Array, string]>([
    ['nothing', Buffer.alloc(0), 'not CBOR'],
    ['no tag', cbor(new Map([[0, 'x']])), 'The CoRIM has not the tag 501'],
    ['a tag of before', cbor(tagged(500, 0)), 'The CoRIM has not the tag 501'],
    ['a CoMID alone', cbor(makeComid(good)), 'The CoRIM has not the tag 501'],
    ['no map', cbor(tagged(501, [1])), 'The CoRIM is no map'],
    ['more bytes', Buffer.concat([whole, Buffer.of(0)]), 'not CBOR'],
    ['fewer bytes', whole.subarray(0, -1), 'not CBOR'],
    ['a key twice', Buffer.concat([cborHead(6, 501), Buffer.from('a200010002', 'hex')]), 'not CBOR'],
    ['an indefinite length', Buffer.concat([cborHead(6, 501), Buffer.from('bf0001ff', 'hex')]), 'not CBOR'],
    ['a text member', cbor(tagged(501, new Map([['id', 1]]))), 'The CoRIM has a member "id"'],
    ['a member of bytes', cbor(tagged(501, new Map([[uuid, 1]]))), 'The CoRIM has a member of another kind'],
    ['arrays one in another', makeCorim({ ...good, corim: { 6: nested(15) } }), 'not CBOR'],
    ['tags one in another', Buffer.concat([tags, Buffer.of(0)]), 'not CBOR'],
  ])('are refused: %s', (_, bytes, what) => {
    expectInvalid(() => readBytesOf(bytes), what)
  })

  it('are nested 16 deep at most', () => {
    expectInvalid(() => readBytesOf(makeCorim({ ...good, corim: { 6: nested(14) } })), 'The CoRIM has a member 6')
  })

  it('have half a mebibyte at most', () => {
    const padding = (length: number) => makeCorim({ ...good, corim: { 5: Buffer.alloc(length) } })
    const most = MAX_CORIM_BYTES - padding(70_000).length + 70_000
    expect(readBytesOf(padding(most)).values).toHaveLength(1)
    expectInvalid(() => readBytesOf(padding(most + 1)), `at most ${MAX_CORIM_BYTES} bytes`)
  })
})
