import { describe, expect, test } from 'vitest'
import type { ExpectedEvidence, TrustAnchor } from '../../../../protocol/attestation/evidence-format.ts'
import { psa } from '../../../../protocol/attestation/formats/psa.ts'
import type { Json } from '../../../../protocol/encoding.ts'
import { derInteger, derSequence } from '../../../support/der.ts'
import {
  enrollingPsa,
  makeToken,
  type PsaProfile,
  psaAnchor,
  psaBootSeed,
  psaEvidence,
  psaImplementationId,
  psaInstanceId,
  psaKeyPair,
  psaLookupId,
  psaNonce,
  psaProfiles,
  type TokenChanges,
} from '../../../support/psa.ts'
import { spkiOf, testKeyPair } from '../../../support/x509-signing.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const state = { implementationId: hex(psaImplementationId), bootSeed: hex(psaBootSeed) }
const known = (changes: Partial<{ id: string; state: Json }> = {}): ExpectedEvidence => ({
  ...enrollingPsa,
  attester: { kind: 'known', id: psaLookupId, state, ...changes },
})

function verify(
  changes: TokenChanges = {},
  { anchors = [psaAnchor(psaKeyPair(changes.algorithm))], expected = enrollingPsa } = {},
) {
  return psa.parse(psaEvidence(makeToken(changes))).verify(anchors, expected)
}

const refused = (check: string) => expect.objectContaining({ code: 'evidence_refused', check })

describe('a token', () => {
  test('is read, verified, and says who the device is', () => {
    const parsed = psa.parse(psaEvidence(makeToken()))
    expect(parsed.trustAnchorIds).toEqual([psaLookupId])
    const { attester, claims } = parsed.verify([psaAnchor()], enrollingPsa)
    expect(attester).toEqual({ id: psaLookupId, state })
    expect(claims).toEqual({
      profile: 'tag:psacertified.org,2023:psa#tfm',
      nonce: hex(psaNonce),
      instanceId: hex(psaInstanceId),
      implementationId: hex(psaImplementationId),
      clientId: 1,
      lifecycle: 0x3000,
      bootSeed: hex(psaBootSeed),
      certificationReference: '1234567890123-12345',
      components: [
        {
          type: 'SPE',
          measurement: '3e'.repeat(32),
          signerId: '51'.repeat(32),
          version: '1.6.0',
          description: 'SHA256',
        },
        {
          type: 'NSPE',
          measurement: '4e'.repeat(32),
          signerId: '51'.repeat(32),
          version: '0.1.0',
          description: 'SHA256',
        },
      ],
      verificationService: 'https://verifier.example',
      rebooted: null,
    })
  })

  test.each(Object.keys(psaProfiles) as PsaProfile[])('of each profile is verified: %s', (profile) => {
    expect(verify({ profile }).claims).toMatchObject({ profile: psaProfiles[profile].name, bootSeed: hex(psaBootSeed) })
  })

  test.each(['ES256', 'ES384', 'ES512'] as const)('of each algorithm is verified: %s', (algorithm) => {
    expect(verify({ algorithm }).attester?.id).toBe(psaLookupId)
  })

  test('is taken without its tag', () => {
    expect(verify({ tag: Buffer.alloc(0) }).attester?.id).toBe(psaLookupId)
  })

  test('is verified by whichever key is known of the device', () => {
    const anchors = [psaAnchor(testKeyPair('P-384')), psaAnchor(testKeyPair('P-256', 'other')), psaAnchor()]
    expect(verify({}, { anchors }).attester?.id).toBe(psaLookupId)
  })

  test.each([32, 48, 64])('carries a nonce of %i bytes', (length) => {
    const nonce = Buffer.alloc(length, 7)
    const expected = { ...enrollingPsa, binding: nonce }
    expect(verify({ claims: { nonce } }, { expected }).attester?.id).toBe(psaLookupId)
  })

  test('of a device that is known says whether it has rebooted', () => {
    const rebooted = (changes: TokenChanges, bootSeed: string | null = state.bootSeed) =>
      verify(changes, { expected: known({ state: { ...state, bootSeed } }) }).claims
    expect(rebooted({})).toMatchObject({ rebooted: false })
    expect(rebooted({ claims: { bootSeed: Buffer.alloc(8) } })).toMatchObject({ rebooted: true })
    expect(rebooted({ claims: { bootSeed: undefined } })).toMatchObject({ rebooted: null })
    expect(rebooted({}, null)).toMatchObject({ rebooted: null })
  })
})

describe('a token is refused', () => {
  const other = testKeyPair('P-256', 'other')
  const flip = (at: number) => (signature: Buffer) => {
    signature[at] = (signature.at(at) as number) ^ 1
    return signature
  }
  const toDer = (signature: Buffer) => {
    const halves = [signature.subarray(0, 32), signature.subarray(32)]
    return derSequence(...halves.map((half) => derInteger(BigInt(`0x${half.toString('hex')}`))))
  }
  const anchor = psaAnchor()

  test.each<[string, string, TokenChanges, { anchors?: TrustAnchor[]; expected?: ExpectedEvidence }?]>([
    ['psa.anchor', 'without a key that is known', {}, { anchors: [] }],
    [
      'psa.anchor',
      'with the key of another device',
      {},
      { anchors: [{ ...anchor, lookupId: `psa:01${'00'.repeat(32)}` }] },
    ],
    ['psa.anchor', 'with an anchor that is no key', {}, { anchors: [{ ...anchor, kind: 'root' }] }],
    ['psa.algorithm', 'under an algorithm that is unknown', { protectedBytes: Buffer.from('a10127', 'hex') }],
    ['psa.algorithm', 'under HMAC', { protectedBytes: Buffer.from('a10105', 'hex') }],
    ['psa.critical_header', 'with a header that is critical', { protectedHeaders: [[2, [3]]] }],
    ['psa.key', 'when what is known is no key', {}, { anchors: [{ ...anchor, der: Buffer.from('3000', 'hex') }] }],
    ['psa.key', 'when the key is on another curve', {}, { anchors: [psaAnchor(testKeyPair('P-384'))] }],
    ['psa.key', 'when the key is none of ECDSA', {}, { anchors: [psaAnchor(testKeyPair('RSA-2048'))] }],
    [
      'psa.key',
      'when it says another algorithm than that of the curve',
      { protectedBytes: Buffer.from('a1013822', 'hex'), signingKey: psaKeyPair().privateKey },
    ],
    ['psa.signature', 'by another key', { signingKey: other.privateKey }],
    ['psa.signature', 'with the first bit of it changed', { changeSignature: flip(0) }],
    ['psa.signature', 'with the last bit of it changed', { changeSignature: flip(63) }],
    ['psa.signature', 'without it', { changeSignature: () => Buffer.alloc(0) }],
    ['psa.signature', 'of zeros', { changeSignature: () => Buffer.alloc(64) }],
    [
      'psa.signature',
      'with a byte behind it',
      { changeSignature: (signature) => Buffer.concat([signature, Buffer.of(0)]) },
    ],
    ['psa.signature', 'in DER', { changeSignature: toDer }],
    ['psa.signature', 'in another context', { context: 'Signature' }],
    ['psa.nonce', 'with another nonce', { claims: { nonce: Buffer.alloc(32) } }],
    ['psa.nonce', 'with a longer nonce', { claims: { nonce: Buffer.concat([psaNonce, Buffer.alloc(16)]) } }],
    ['psa.attester', 'for another device', {}, { expected: known({ id: `psa:01${'00'.repeat(32)}` }) }],
    [
      'psa.attester_implementation',
      'with another implementation than before',
      { claims: { implementationId: Buffer.alloc(32) } },
      { expected: known() },
    ],
  ])('%s: %s', (check, _, changes, given) => {
    expect(() => verify(changes, given)).toThrow(refused(check))
  })

  test('with the evidence of another device under its name', () => {
    const instanceId = Buffer.from(`01${'77'.repeat(32)}`, 'hex')
    const token = makeToken({ claims: { instanceId }, signingKey: other.privateKey })
    const anchors = [{ lookupId: `psa:${hex(instanceId)}`, kind: 'key' as const, der: spkiOf(other) }, psaAnchor()]
    expect(psa.parse(psaEvidence(token)).verify(anchors, enrollingPsa).attester?.id).toBe(`psa:${hex(instanceId)}`)
    expect(() => psa.parse(psaEvidence(token)).verify(anchors, known())).toThrow(refused('psa.attester'))
  })
})
