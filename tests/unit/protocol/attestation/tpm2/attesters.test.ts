import { describe, expect, test } from 'vitest'
import type { Json } from '../../../../../protocol/encoding.ts'
import { derTime } from '../../../../support/der.ts'
import { testTpmModel } from '../../../../support/tpm/ek-authority.ts'
import { akKinds, makeEvidence, makeKnownEvidence, toText, verifyEvidence } from '../../../../support/tpm/evidence.ts'
import { CERTIFICATE_NOT_AFTER } from '../../../../support/x509.ts'
import { failedCheckOf } from './refusals.ts'

describe('at an enrolment', () => {
  const enrolling = (
    change: Partial<{ attesterId: string; state: { akName: string }; secret: Uint8Array }> | undefined,
    members = {},
  ) => {
    const made = makeEvidence({ members })
    const { attester } = made.expected
    if (attester.kind !== 'enrolling' || attester.activation === undefined) return expect.fail()
    const activation = change && { ...attester.activation, ...change }
    return failedCheckOf({ ...made, expected: { ...made.expected, attester: { kind: 'enrolling', activation } } })
  }

  test.each<[string, string, string | undefined]>([
    [
      'tpm2.ek_certificate',
      'there is no EK certificate',
      enrolling({}, { ekCertificate: undefined, ekChain: undefined }),
    ],
    ['tpm2.activation', 'no credential was asked for', enrolling(undefined)],
    ['tpm2.activated_ek', 'the credential was made for another EK', enrolling({ attesterId: '00'.repeat(32) })],
    ['tpm2.activated_ak', 'the credential was made for another AK', enrolling({ state: { akName: '000b' } })],
    [
      'tpm2.activation',
      'the secret is another one',
      enrolling({}, { activatedSecret: toText(Buffer.alloc(32, 0x5f)) }),
    ],
    ['tpm2.activation', 'the secret was longer', enrolling({ secret: Buffer.alloc(33, 0x5e) })],
    ['tpm2.activation', 'there is no secret', enrolling({}, { activatedSecret: undefined })],
  ])('fails %s when %s', (check, _, found) => {
    expect(found).toBe(check)
  })
})

describe('a TPM that enrolled', () => {
  describe('fails tpm2.ek_path.anchor without a certificate', () => {
    const known = makeKnownEvidence()
    const other = makeEvidence({ name: ' of another' })
    const swapped = other.anchors.map((anchor, index) => ({
      ...anchor,
      lookupId: known.anchors[index]?.lookupId ?? '',
      kind: 'root' as const,
    }))
    test.each([
      ['when the anchor by which it enrolled is there no more', []],
      ['when another certificate is trusted in its place', swapped],
      ['when its certificate is there as a key', known.anchors.map((anchor) => ({ ...anchor, kind: 'key' as const }))],
      ['when it is looked up by another name', known.anchors.map((anchor) => ({ ...anchor, lookupId: 'subject:00' }))],
    ])('%s', (_what, anchors) => {
      expect(failedCheckOf({ ...known, anchors })).toBe('tpm2.ek_path.anchor')
    })
  })

  test('is let be by a state of before, which knows no anchors', () => {
    const known = makeKnownEvidence()
    const { attester } = known.expected
    if (attester.kind !== 'known') return expect.fail()
    const { anchors: _, ...state } = attester.state as { anchors: Json }
    expect(
      failedCheckOf({ ...known, anchors: [], expected: { ...known.expected, attester: { ...attester, state } } }),
    ).toBe(undefined)
  })

  test('fails tpm2.known_ek with the certificate of another EK', () => {
    const known = makeKnownEvidence()
    const { ekCertificate = '', ekChain = [] } = makeEvidence({ name: ' of another' }).evidence
    expect(failedCheckOf({ ...known, evidence: { ...known.evidence, ekCertificate, ekChain } })).toBe('tpm2.known_ek')
  })

  test('fails tpm2.known_ak with another AK of the same TPM', () => {
    const known = makeKnownEvidence()
    const other = makeKnownEvidence({ ak: akKinds['ECDSA P-384, SHA-384'] })
    expect(failedCheckOf({ ...known, evidence: other.evidence })).toBe('tpm2.known_ak')
  })

  test('fails tpm2.qualified_signer with its AK under another EK', () => {
    const known = makeKnownEvidence()
    const moved = makeKnownEvidence({ range: 'high' })
    expect(failedCheckOf({ ...known, evidence: moved.evidence })).toBe('tpm2.qualified_signer')
  })

  test('has a new end of validity when it sends a new certificate, and its old one when it sends none', () => {
    const notAfter = Date.UTC(2030, 0, 1)
    const renewed = { ekCertificate: undefined, ekChain: undefined }
    const again = makeEvidence({ certificates: { leaf: { notAfter: derTime(notAfter) } } }).evidence
    const known = makeKnownEvidence({ members: renewed })
    const { ekCertificate = '', ekChain = [] } = again
    const sent = { ...known, evidence: { ...known.evidence, ekCertificate, ekChain } }
    expect(verifyEvidence(sent).attester?.state).toMatchObject({ certificatesValidUntil: notAfter })
    expect(verifyEvidence(known).attester?.state).toMatchObject({
      certificatesValidUntil: CERTIFICATE_NOT_AFTER,
      tpm: testTpmModel,
    })
  })
})
