import { describe, expect, test } from 'vitest'
import { psa } from '../../protocol/attestation/formats/psa.ts'
import { cbor } from '../support/cbor.ts'
import { parseDiagnostic } from '../support/cbor-diagnostic.ts'
import { fixtures, readFixture, readPemFixture } from '../support/fixtures.ts'
import { enrollingPsa, makeToken, psaEvidence, psaKeyPair } from '../support/psa.ts'
import { spkiOf } from '../support/x509-signing.ts'

const malformed = expect.objectContaining({ code: 'evidence_malformed' })
const readToken = (name: string) => psaEvidence(readFixture(`public/psa/${name}`))
const readClaims = (name: string) => cbor(parseDiagnostic(readFixture(`public/psa/${name}`).toString('utf8')))
const keysOf = (name: string) => readPemFixture(`public/psa/${name}`, 'PUBLIC KEY')

/** With the key that the fixtures have for the device of the token. */
function verify(evidence: ReturnType<typeof psaEvidence>, der: Uint8Array, binding: Uint8Array) {
  const parsed = psa.parse(evidence)
  const anchors = parsed.trustAnchorIds.map((lookupId) => ({ lookupId, kind: 'key' as const, der }))
  return parsed.verify(anchors, { ...enrollingPsa, binding })
}

const trustedFirmware = {
  implementationId: 'aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd',
  instanceId: '01fa58755f658627ce5460f29b75296713248cae7ad9e2984b90280efcbcb50248',
  lifecycle: 0x3000,
  clientId: 3002,
  certificationReference: '0604565272829-10010',
  verificationService: 'www.trustedfirmware.org',
}

describe.skipIf(fixtures === undefined)('tokens of QFLARE_FIXTURES; unset, none is read', () => {
  test.each([
    ['psa-2_0_0_sign1.bin', 'http://arm.com/psa/2.0.0'],
    ['psa-iot-1_sign1.bin', 'PSA_IOT_PROFILE_1'],
  ])('of TF-M are verified by the key of the device, with their own nonce: %s', (name, profile) => {
    const [key] = keysOf('public.pem') as [Buffer]
    const { claims } = verify(readToken(name), key, Buffer.alloc(64))
    expect(claims).toMatchObject({ profile, ...trustedFirmware, components: [{ type: 'SPE' }, { type: 'NSPE' }] })
    expect(() => verify(readToken(name), key, Buffer.alloc(32))).toThrow(
      expect.objectContaining({ check: 'psa.nonce' }),
    )
    expect(() => verify(readToken(name), spkiOf(psaKeyPair()), Buffer.alloc(64))).toThrow(
      expect.objectContaining({ check: 'psa.signature' }),
    )
  })

  test('of TF-M hold the claims of their diagnostic notation', () => {
    const claims = readClaims('psa-2_0_0_claims.diag')
    const { claims: read } = verify(psaEvidence(makeToken({ payload: claims })), spkiOf(psaKeyPair()), Buffer.alloc(64))
    expect(read).toMatchObject(trustedFirmware)
  })

  test('of Veraison is verified by the key of its CoRIM, and not by that of TF-M', () => {
    const nonce = Buffer.from('QUp8F0FBs9DpodKK8xUg8NQimf6sQAfe2J1ormzZLxk', 'base64')
    const [key] = keysOf('corim-psa-valid.cbor') as [Buffer]
    const { claims, appraise } = verify(readToken('psa.good.cose'), key, nonce)
    const expected = JSON.parse(readFixture('public/psa/psa.good.json').toString('utf8'))
    expect(claims).toMatchObject({
      instanceId: Buffer.from(expected['psa-instance-id'], 'base64').toString('hex'),
      implementationId: Buffer.from('acme-implementation-id-000000001').toString('hex'),
      components: [{ type: 'BL' }, { type: 'PRoT' }, { type: 'ARoT' }],
    })
    expect(appraise({ required: [{ type: 'PRoT', minimumVersion: '1.3.5' }] }, []).at(-1)?.value).toBe(3)
    const [other] = keysOf('public.pem') as [Buffer]
    expect(() => verify(readToken('psa.good.cose'), other, nonce)).toThrow(
      expect.objectContaining({ check: 'psa.signature' }),
    )
  })

  test('under a message authentication code are malformed', () => {
    expect(() => psa.parse(readToken('psa-2_0_0_mac0.bin'))).toThrow(malformed)
  })

  test('of Veraison with all claims are read', () => {
    const { claims } = verify(
      psaEvidence(makeToken({ payload: readClaims('P2ClaimsAll.diag') })),
      spkiOf(psaKeyPair()),
      Buffer.alloc(32, 1),
    )
    // Its boot seed is 8 bytes, the least that there may be.
    expect(claims).toMatchObject({ clientId: 2 ** 31 - 1, lifecycle: 0x3000, bootSeed: '0000000000000000' })
  })

  test.each(['P2ClaimsInvalidMultiNonce.diag', 'P2ClaimsMissingMandatoryNonce.diag'])(
    'of Veraison without exactly one nonce are malformed: %s',
    (name) => {
      expect(() => psa.parse(psaEvidence(makeToken({ payload: readClaims(name) })))).toThrow(malformed)
    },
  )
})
