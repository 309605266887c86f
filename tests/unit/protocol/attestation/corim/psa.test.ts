import { describe, expect, it, test } from 'vitest'
import type { CborValue } from '../../../../support/cbor.ts'
import { members, tagged } from '../../../../support/corim/corim.ts'
import { expectInvalid, readMade } from '../../../../support/corim/reading.ts'
import { digest256, hex256, psaClaim, psaReference, psaRefvalClaim } from '../../../../support/corim/references.ts'
import { psaImplementationId, psaRelease, psaSigner } from '../../../../support/psa.ts'

const bytes = (length: number) => Buffer.alloc(length, 0x77)
const read = (changes: Parameters<typeof psaReference>[0], partial = false) =>
  readMade({ references: [psaReference(changes)] }, { partial })
const readClaim = (claim: CborValue, partial = false) => read({ claims: [claim] }, partial)
const componentOf = (claim: CborValue) => (readClaim(claim).values as { components: object[] }[])[0]?.components[0]
const place = 'tags[0].triples.reference-triples[0]'
const spe = { type: 'SPE', version: '1.6.0', signerId: psaSigner.toString('hex'), measurement: hex256(0x3e) }

describe('a PSA release', () => {
  it('has the components of its reference triple', () => {
    expect(read({}).values).toEqual([psaRelease])
  })

  it('is one value for each reference triple', () => {
    const other = psaReference({ class: { 0: tagged(560, bytes(32)) } })
    expect(readMade({ references: [psaReference(), other] }).values).toEqual([
      psaRelease,
      { ...psaRelease, implementationId: '77'.repeat(32) },
    ])
  })

  it('may have its implementation id under the tag of the profile of before', () => {
    expect(read({ class: { 0: tagged(600, psaImplementationId) } }).values).toEqual([psaRelease])
  })

  it('of the profile of before has what tells a component in its key', () => {
    const { values, profile } = readMade({
      profile: 'psa of before',
      references: [psaReference({ class: { 0: tagged(600, psaImplementationId) }, claims: [psaRefvalClaim()] })],
    })
    expect(profile).toBe('http://arm.com/psa/iot/1')
    expect(values).toEqual([{ ...psaRelease, components: [spe] }])
  })

  it('names vendor and model for people', () => {
    expect(read({ class: { 1: 'Acme', 2: 'Road' } })).toMatchObject({
      values: [psaRelease],
      notTaken: [
        'tags[].triples.reference-triples[].ref-env.class.vendor: for people',
        'tags[].triples.reference-triples[].ref-env.class.model: for people',
      ],
    })
  })
})

describe('a PSA component', () => {
  test.each<[string, CborValue, object]>([
    ['without a type', psaClaim({ 11: undefined }), { ...spe, type: undefined }],
    ['without a version', psaClaim({ 0: undefined }), { ...spe, version: undefined }],
    ['with the hash by name', psaClaim({ 2: [['sha-256', bytes(32)]] }), { ...spe, measurement: '77'.repeat(32) }],
    ['of SHA-384', psaClaim({ 2: [[7, bytes(48)]] }), { ...spe, measurement: '77'.repeat(48) }],
    ['of SHA-384 by name', psaClaim({ 2: [['sha-384', bytes(48)]] }), { ...spe, measurement: '77'.repeat(48) }],
    ['of SHA-512', psaClaim({ 2: [[8, bytes(64)]] }), { ...spe, measurement: '77'.repeat(64) }],
    ['of SHA-512 by name', psaClaim({ 2: [['sha-512', bytes(64)]] }), { ...spe, measurement: '77'.repeat(64) }],
    ['by a signer of 64 bytes', psaClaim({ 13: [tagged(560, bytes(64))] }), { ...spe, signerId: '77'.repeat(64) }],
    ['of before without a type', psaRefvalClaim({ 1: undefined }), { ...spe, type: undefined }],
    ['of before without a version', psaRefvalClaim({ 4: undefined }), { ...spe, version: undefined }],
  ])('%s is one', (_, claim, component) => {
    expect(componentOf(claim)).toEqual(component)
  })

  it('of two hashes is one by either', () => {
    const { values } = readClaim(psaClaim({ 2: [digest256(0x3e), [7, bytes(48)]] }))
    expect(values).toEqual([{ ...psaRelease, components: [spe, { ...spe, measurement: '77'.repeat(48) }] }])
  })

  test.each<[string, CborValue, string]>([
    ['no key', psaClaim({}, { 0: undefined }), 'mkey is not psa.software-component'],
    ['another key', psaClaim({}, { 0: 'psa.other' }), 'mkey is not psa.software-component'],
    ['a numbered key', psaClaim({}, { 0: 1 }), 'mkey is not psa.software-component'],
    ['a key of another tag', psaClaim({}, { 0: tagged(111, bytes(4)) }), 'mkey has not the tag 601'],
    ['no digests', psaClaim({ 2: undefined }), 'mval.digests is no array'],
    ['an empty array of digests', psaClaim({ 2: [] }), 'mval.digests is no array'],
    ['a digest that is none', psaClaim({ 2: [7] }), 'mval.digests[0] is no array'],
    ['a digest of an unknown hash', psaClaim({ 2: [[2, bytes(16)]] }), 'digests[0] is of none of SHA-256'],
    ['a digest of SHA-1 by name', psaClaim({ 2: [['sha-1', bytes(20)]] }), 'digests[0] is of none of SHA-256'],
    ['a digest of 31 bytes', psaClaim({ 2: [[1, bytes(31)]] }), 'digests[0] is not sha-256 and 32 bytes'],
    ['a digest of 48 bytes for SHA-256', psaClaim({ 2: [[1, bytes(48)]] }), 'digests[0] is not sha-256 and 32 bytes'],
    ['a digest of three parts', psaClaim({ 2: [[1, bytes(32), 0]] }), 'digests[0] is not sha-256 and 32 bytes'],
    ['a digest that is text', psaClaim({ 2: [[1, 'x']] }), 'mval.digests[0] is no byte string'],
    ['two digests of one hash', psaClaim({ 2: [digest256(1), digest256(2)] }), 'has two digests of one algorithm'],
    ['no signer', psaClaim({ 13: undefined }), 'mval.cryptokeys is no array'],
    ['two signers', psaClaim({ 13: [tagged(560, psaSigner), tagged(560, bytes(32))] }), 'more than the one signer id'],
    ['a signer of another kind', psaClaim({ 13: [tagged(554, 'x')] }), 'mval.cryptokeys has not the tag 560'],
    ['a signer that is text', psaClaim({ 13: [tagged(560, 'x')] }), 'mval.cryptokeys is no byte string'],
    ['a signer of 31 bytes', psaClaim({ 13: [tagged(560, bytes(31))] }), 'components.0.signerId'],
    ['a type that is a number', psaClaim({ 11: 7 }), 'mval.name is no text'],
    ['a version that is no map', psaClaim({ 0: '1.6.0' }), 'mval.version is no map'],
    ['a version that is no text', psaClaim({ 0: members({ 0: 7 }) }), 'mval.version.version is no text'],
    ['a version of a scheme', psaClaim({ 0: members({ 0: '1', 1: 16384 }) }), 'version-scheme has no place'],
    ['more of a version', psaClaim({ 0: members({ 0: '1', 2: 1 }) }), 'mval.version has a member 2'],
    ['no signer, as before', psaRefvalClaim({ 5: undefined }), 'mkey.signer-id is no byte string'],
    ['a type that is a number, as before', psaRefvalClaim({ 1: 7 }), 'mkey.measurement-type is no text'],
    ['a version that is a number, as before', psaRefvalClaim({ 4: 7 }), 'mkey.version is no text'],
    ['more of a key, as before', psaRefvalClaim({ 2: 7 }), 'mkey has a member 2'],
    ['a type twice', psaRefvalClaim({}, { 11: 'SPE' }), 'mkey and mval both say what the component is'],
    ['a version twice', psaRefvalClaim({}, { 0: members({ 0: '1' }) }), 'mkey and mval both say'],
    ['a signer twice', psaRefvalClaim({}, { 13: [tagged(560, psaSigner)] }), 'mkey and mval both say'],
  ])('with %s is refused', (_, claim, what) => {
    expectInvalid(() => readClaim(claim), what)
  })

  test.each<[string, CborValue]>([
    ['svn', psaClaim({ 1: tagged(553, 3) })],
    ['flags', psaClaim({ 3: members({ 3: 0 }) })],
    ['raw-value', psaClaim({ 4: tagged(563, [bytes(2), bytes(2)]) })],
    ['raw-value-mask', psaClaim({ 5: bytes(2) })],
    ['serial-number', psaClaim({ 8: 'x' })],
    ['integrity-registers', psaClaim({ 14: new Map([[0, [digest256(1)]]]) })],
    ['psa-cert-num', psaClaim({ 100: '1234567890123-12345' })],
  ])('that has to be so in more is refused, unless it is wanted in part: %s', (member, claim) => {
    expectInvalid(
      () => readClaim(claim),
      `${place}.ref-claims[0].mval.${member}: of a software component: no reference`,
    )
    expect(readClaim(claim, true)).toMatchObject({
      values: [{ components: [spe] }],
      notTaken: [expect.stringContaining(`.mval.${member}: of a software component`)],
    })
  })
})

describe('the environment of a PSA release', () => {
  test.each<[string, Parameters<typeof psaReference>[0], string]>([
    ['no class', { environment: { 0: undefined, 1: tagged(550, bytes(33)) } }, 'ref-env.class is no map'],
    ['nothing', { environment: { 0: undefined } }, 'ref-env is no map'],
    ['no class id', { class: { 0: undefined, 1: 'Acme' } }, 'class-id is of no kind that is known'],
    ['an id without a tag', { class: { 0: psaImplementationId } }, 'class-id is of no kind that is known'],
    ['an id of another tag', { class: { 0: tagged(551, 7) } }, 'class-id is of no kind that is known'],
    ['an id that is no bytes', { class: { 0: tagged(560, 'x') } }, 'class-id is no byte string'],
    ['an object identifier', { class: { 0: tagged(111, bytes(32)) } }, 'class-id is no implementation id'],
    ['an id of 31 bytes', { class: { 0: tagged(560, bytes(31)) } }, 'class-id is no implementation id'],
    ['an id of 33 bytes', { class: { 0: tagged(600, bytes(33)) } }, 'class-id is no implementation id'],
    ['more of an environment', { environment: { 3: 7 } }, 'ref-env has a member 3'],
    ['more of a class', { class: { 5: 7 } }, 'ref-env.class has a member 5'],
  ])('with %s is refused', (_, changes, what) => {
    expectInvalid(() => read(changes), what)
  })

  test.each<[string, Parameters<typeof psaReference>[0]]>([
    ['ref-env.instance', { environment: { 1: tagged(550, bytes(33)) } }],
    ['ref-env.group', { environment: { 2: tagged(37, bytes(16)) } }],
    ['ref-env.class.layer', { class: { 3: 1 } }],
    ['ref-env.class.index', { class: { 4: 1 } }],
  ])('that is smaller than an implementation is refused, unless it is wanted in part: %s', (member, changes) => {
    expectInvalid(() => read(changes), `${place}.${member}: of these alone: no reference value can say that`)
    expect(read(changes, true)).toMatchObject({
      values: [psaRelease],
      notTaken: [expect.stringContaining(`${member}: of these alone`)],
    })
  })
})
