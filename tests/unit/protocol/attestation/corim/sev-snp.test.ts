import { describe, expect, it, test } from 'vitest'
import type { CborValue } from '../../../../support/cbor.ts'
import { tagged } from '../../../../support/corim/corim.ts'
import { expectInvalid, readMade } from '../../../../support/corim/reading.ts'
import { digest384, hex384, sevSnpClaim, sevSnpReference } from '../../../../support/corim/references.ts'

const bytes = (length: number) => Buffer.alloc(length, 0x77)
const hex = (text: string) => Buffer.from(text, 'hex')
const readAll = (references: CborValue[], partial = false) => readMade({ profile: 'sev-snp', references }, { partial })
const read = (changes: Parameters<typeof sevSnpReference>[0], partial = false) =>
  readAll([sevSnpReference(changes)], partial)
const measurement = sevSnpClaim(641, { 2: [digest384(0x3e)] })
const image = { measurements: [hex384(0x3e)] }
const place = 'tags[0].triples.reference-triples[0]'
const ofVcek =
  'tags[].triples.reference-triples[].ref-env.class.class-id: of reports that a VCEK signs; signingKeys of a policy says which are taken'

describe('an image of SEV-SNP', () => {
  it('has the measurements of all reference triples, each once', () => {
    const references = [1, 2, 1].map((byte) => sevSnpReference({}, bytes(48).fill(byte)))
    expect(readAll(references)).toMatchObject({
      format: 'sev-snp',
      values: [{ measurements: [hex384(1), hex384(2)] }],
      notTaken: [`${ofVcek} (3 times)`],
    })
  })

  it('has 256 measurements at most', () => {
    const many = (count: number) =>
      Array.from({ length: count }, (_, index) => sevSnpReference({}, Buffer.alloc(48, `${index};`)))
    expect(readAll(many(256)).values).toHaveLength(1)
    expectInvalid(() => readAll(many(257)), 'Value 1 is no reference value of sev-snp: measurements: ')
  })

  test.each<[string, CborValue, string]>([
    ['a chip', tagged(111, hex('2b060104019c780301')), 'VCEK'],
    ['a cloud', tagged(111, hex('2b060104019c780302')), 'VLEK'],
    ['a chip, as a UUID', tagged(37, hex('d05e6d1b9f464ae2a610ce3e6ee7e153')), 'VCEK'],
    ['a cloud, as a UUID', tagged(37, hex('89a7a1f0e7044faaacbd81c86df8a961')), 'VLEK'],
  ])('is that of reports by the key of %s', (_, classId, key) => {
    expect(read({ class: { 0: classId } })).toMatchObject({
      values: [image],
      notTaken: [ofVcek.replace('VCEK', key)],
    })
  })

  it('is known by the profile of the year before too', () => {
    const { profile, values } = readMade({
      references: [sevSnpReference()],
      corim: { 3: tagged(32, 'tag:amd.com,2024:snp-corim-profile') },
    })
    expect({ profile, values }).toEqual({ profile: 'tag:amd.com,2024:snp-corim-profile', values: [image] })
  })

  it('may have its hash by name', () => {
    expect(read({ claims: [sevSnpClaim(641, { 2: [['sha-384', bytes(48)]] })] }).values).toEqual([
      { measurements: [hex384(0x77)] },
    ])
  })

  test.each<[string, Parameters<typeof sevSnpReference>[0], string]>([
    ['an unknown class', { class: { 0: tagged(37, bytes(16)) } }, 'class-id is none of a guest on SEV-SNP'],
    ['an identifier near by', { class: { 0: tagged(111, hex('2b060104019c780303')) } }, 'none of a guest on SEV-SNP'],
    ['another tag', { class: { 0: tagged(560, hex('2b060104019c780301')) } }, 'none of a guest on SEV-SNP'],
    ['no measurement', { claims: [sevSnpClaim(647, { 1: 7 })] }, `${place} has not one MEASUREMENT (mkey 641)`],
    ['two measurements', { claims: [measurement, measurement] }, `${place} has not one MEASUREMENT (mkey 641)`],
    [
      'a field that nobody knows',
      { claims: [measurement, sevSnpClaim(651, { 1: 7 })] },
      'mkey is no field of a report',
    ],
    ['no digest', { claims: [sevSnpClaim(641, { 1: 7 })] }, 'mval.svn: beside the MEASUREMENT'],
    ['two digests', { claims: [sevSnpClaim(641, { 2: [digest384(1), [8, bytes(64)]] })] }, 'more than the MEASUREMENT'],
    ['a digest of SHA-256', { claims: [sevSnpClaim(641, { 2: [[1, bytes(32)]] })] }, 'mval.digests is no SHA-384'],
    ['a digest of SHA-512', { claims: [sevSnpClaim(641, { 2: [[8, bytes(64)]] })] }, 'mval.digests is no SHA-384'],
    ['a digest of 47 bytes', { claims: [sevSnpClaim(641, { 2: [[7, bytes(47)]] })] }, 'is not sha-384 and 48 bytes'],
  ])('with %s is refused', (_, changes, what) => {
    expectInvalid(() => read(changes), what)
  })

  it('knows no triples of other profiles', () => {
    const changes = { profile: 'sev-snp', references: [sevSnpReference()], triples: { 50: [7] } } as const
    expectInvalid(() => readMade(changes), 'tags[0].triples has a member 50')
  })

  it('without a digest is refused, also in part', () => {
    expectInvalid(() => read({ claims: [sevSnpClaim(641, { 1: 7 })] }, true), 'mval.digests is no array')
  })

  test.each<[string, Parameters<typeof sevSnpReference>[0]]>([
    ['ref-claims[1]: GUEST_SVN of the report', { claims: [measurement, sevSnpClaim(1, { 1: tagged(553, 3) })] }],
    ['ref-claims[0]: POLICY of the report', { claims: [sevSnpClaim(2, { 4: tagged(560, bytes(8)) }), measurement] }],
    ['ref-claims[1]: LAUNCH_TCB of the report', { claims: [measurement, sevSnpClaim(3968, { 1: tagged(552, 7) })] }],
    [
      'ref-claims[0].mval.raw-value: beside the MEASUREMENT',
      { claims: [sevSnpClaim(641, { 2: [digest384(0x3e)], 4: tagged(560, bytes(8)) })] },
    ],
    ['ref-env.instance: of these alone', { environment: { 1: tagged(560, bytes(64)) } }],
    ['ref-env.group: of these alone', { environment: { 2: tagged(37, bytes(16)) } }],
    ['ref-env.class.vendor: of these alone', { class: { 1: 'AMD' } }],
    ['ref-env.class.model: of these alone', { class: { 2: 'Milan' } }],
  ])('that has to be so in more is refused, unless it is wanted in part: %s', (member, changes) => {
    expectInvalid(() => read(changes), `${place}.${member}: no reference value can say that`)
    const { values, notTaken } = read(changes, true)
    expect(values).toEqual([image])
    expect(notTaken).toContain(`tags[].triples.reference-triples[].${member.replace(/\[\d\]/, '[]')}`)
  })
})
