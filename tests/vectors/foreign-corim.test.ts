import { describe, expect, test } from 'vitest'
import { psa } from '../../protocol/attestation/formats/psa.ts'
import { expectInvalid, readBytesOf } from '../support/corim/reading.ts'
import { fixtures, readFixture, readPemFixture } from '../support/fixtures.ts'
import { enrollingPsa, psaEvidence } from '../support/psa.ts'

const corim = () => readFixture('public/psa/corim-psa-valid.cbor')
const signerId = '5378796307535df3ec8d8b15a2e2dc5641419c3d3060cfe32238c0fa973f7aa3'

describe.skipIf(fixtures === undefined)('the CoRIM of Veraison in QFLARE_FIXTURES; unset, it is not read', () => {
  test('has the components of one implementation, and keys that are not taken', () => {
    expect(readBytesOf(corim())).toEqual({
      id: '00000000-0000-0000-065a-0000000000001',
      profile: 'tag:arm.com,2025:psa#1.0.0',
      format: 'psa',
      values: [
        {
          implementationId: Buffer.from('acme-implementation-id-000000001').toString('hex'),
          components: [
            ['BL', '87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7'],
            ['PRoT', '0263829989b6fd954f72baaf2fc64bc2e2f01d692d4de72986ea808f6e99813f'],
            ['ARoT', 'a3a5e715f0cc574a73c3f9bebb6bc24f32ffd5b67b387244c2c909da779a1478'],
          ].map(([type, measurement]) => ({ type, signerId, measurement })),
        },
      ],
      signerName: null,
      isVerified: false,
      notAfterAt: null,
      notTaken: ['tags[].language: for people (2 times)', 'tags[].triples.attest-key-triples: 2 of them'],
    })
  })

  test('has what the token beside it measured, by another signer: with that of the token each component is approved', () => {
    const nonce = Buffer.from('QUp8F0FBs9DpodKK8xUg8NQimf6sQAfe2J1ormzZLxk', 'base64')
    const [der] = readPemFixture('public/psa/corim-psa-valid.cbor', 'PUBLIC KEY') as [Buffer]
    const parsed = psa.parse(psaEvidence(readFixture('public/psa/psa.good.cose')))
    const anchors = parsed.trustAnchorIds.map((lookupId) => ({ lookupId, kind: 'key' as const, der }))
    const { appraise } = parsed.verify(anchors, { ...enrollingPsa, binding: nonce })
    const found = (values: Parameters<typeof appraise>[1]) =>
      appraise({}, values).flatMap(({ check, value }) => (check === 'psa.component' ? [value] : []))
    const { values } = readBytesOf(corim())
    expect(found(values)).toEqual([33, 33, 33])
    const ofToken = 'acbb11c7e4da217205523ce4ce1a245ae1a239ae3c6bfd9e7871f7e5d8bae86b'
    expect(found(JSON.parse(JSON.stringify(values).replaceAll(signerId, ofToken)))).toEqual([3, 3, 3])
  })

  test('is refused when it is cut short', () => {
    expectInvalid(() => readBytesOf(corim().subarray(0, -1)), 'The CoRIM is not CBOR')
  })
})
