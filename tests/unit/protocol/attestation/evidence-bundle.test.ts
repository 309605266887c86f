import { describe, expect, test } from 'vitest'
import {
  activationSecretHash,
  appraiseBundle,
  bundledAttester,
  type EvidenceBundle,
  evidenceBundle,
  missingReferenceValues,
  parseEvidenceBundle,
  toWireBundle,
} from '../../../../protocol/attestation/evidence-bundle.ts'
import { policyDocument, policyNone } from '../../../../protocol/attestation/policy.ts'
import { toBase64url } from '../../../../protocol/encoding.ts'
import { bundleOf } from '../../../support/evidence-bundles.ts'
import { native as crypto } from '../../../support/protocol-providers.ts'
import { enrollingPsa, makeToken, psaAnchor, psaEvidence } from '../../../support/psa.ts'
import { makeEvidence, testPcrs } from '../../../support/tpm/evidence.ts'

const bundle: EvidenceBundle = {
  v: 1,
  evidence: [{ format: 'none', claims: { os: 'linux' } }],
  binding: new Uint8Array(32).fill(1),
  at: 1_795_318_200_000,
  attesters: {
    tpm2: { kind: 'known', id: 'tpm2:1', state: { resetCount: 3 } },
    psa: { kind: 'enrolling', activation: { attesterId: 'psa:1', state: {}, secretHash: new Uint8Array(32).fill(2) } },
    none: { kind: 'enrolling' },
  },
  anchors: { tpm2: [{ lookupId: 'subject:00', kind: 'root', der: new Uint8Array([48, 0]) }] },
  referenceValues: { tpm2: [{ name: 'kernel', values: [{ pcrs: {} }] }] },
  result: {
    tier: 'none',
    policyId: 'none',
    policy: { v: 1 },
    findings: { none: [{ check: 'none.x', claim: 'hardware', value: -1, detail: 'd' }] },
  },
}

describe('a bundle of evidence', () => {
  test('is JSON, and comes back from it as it was', () => {
    const wire = JSON.parse(JSON.stringify(toWireBundle(bundle)))
    expect(wire.binding).toBe(toBase64url(bundle.binding))
    expect(parseEvidenceBundle(wire)).toEqual(bundle)
  })

  test('gives the verdict of the policy that it is appraised by', () => {
    expect(appraiseBundle(crypto, policyNone, bundle)).toEqual({
      tier: 'none',
      appraisals: { none: { tier: 'none', vector: {}, findings: [] } },
      attesters: [],
    })
  })

  test('whose evidence is not what the policy asks for is refused', () => {
    const other = { ...bundle, evidence: [{ format: 'tpm2' }] }
    expect(() => appraiseBundle(crypto, policyNone, other)).toThrow(
      expect.objectContaining({ code: 'evidence_malformed' }),
    )
  })

  test.each([
    ['of another version', { v: 2 }],
    ['with a member that nobody knows', { more: 1 }],
    ['without evidence', { evidence: [] }],
    ['with a binding of another length', { binding: toBase64url(new Uint8Array(31)) }],
    ['with a time before 1970', { at: -1 }],
    ['with anchors of a format that nobody knows', { anchors: { sgx: [] } }],
    ['with an anchor without bytes', { anchors: { psa: [{ lookupId: 'a', kind: 'key', der: '' }] } }],
    ['with a kind of attester that there is not', { attesters: { psa: { kind: 'trusted' } } }],
    [
      'with the secret of an activation',
      { attesters: { tpm2: { kind: 'enrolling', activation: { attesterId: 'a', state: {}, secret: 'AAAA' } } } },
    ],
    [
      'with a value that AR4SI has not',
      { result: { ...bundle.result, findings: { none: [{ check: 'a', claim: 'hardware', value: 128, detail: '' }] } } },
    ],
  ])('%s is none', (_what, change) => {
    const wire = { ...JSON.parse(JSON.stringify(toWireBundle(bundle))), ...change }
    expect(() => parseEvidenceBundle(wire)).toThrow(expect.objectContaining({ code: 'evidence_malformed' }))
  })

  test.each([[undefined], [null], ['text'], [[]], [7]])('%j is none', (value) => {
    expect(() => parseEvidenceBundle(value)).toThrow(expect.objectContaining({ code: 'evidence_malformed' }))
  })

  test('says which reference values of a policy it does not know', () => {
    const named = policyDocument.parse({
      ...policyNone,
      evidence: { none: { rules: {}, referenceValues: ['kernel', 'firmware'] } },
    })
    const knowing = { ...bundle, referenceValues: { none: [{ name: 'kernel', values: [] }] } }
    expect(missingReferenceValues(named, knowing)).toEqual([{ format: 'none', name: 'firmware' }])
    expect(missingReferenceValues(policyNone, bundle)).toEqual([])
  })
})

describe('a bundle of a device with a TPM', () => {
  const { evidence, anchors, expected } = makeEvidence()
  const allowed = Object.entries(testPcrs.sha256 ?? {}).map(([pcr, value]) => [pcr, [value]])
  const boot = [{ pcrs: { sha256: Object.fromEntries(allowed) } }]
  const document = policyDocument.parse({
    v: 1,
    evidence: { tpm2: { rules: {}, referenceValues: ['boot'] } },
    enroll: ['affirming'],
  })
  const tierOf = (change: Partial<Parameters<typeof bundleOf>[1]> = {}) =>
    appraiseBundle(crypto, document, bundleOf(evidence, { anchors, expected, referenceValues: { boot }, ...change }))
      .tier

  test('is appraised by nothing but what the evidence names of anchors, and the policy of reference values', () => {
    expect(tierOf()).toBe('affirming')
    expect(tierOf({ anchors: anchors.map((anchor) => ({ ...anchor, lookupId: 'subject:00' })) })).toBe(
      'contraindicated',
    )
    expect(tierOf({ referenceValues: { kernel: boot } })).toBe('contraindicated')
    expect(tierOf({ referenceValues: { kernel: [], boot } })).toBe('affirming')
  })
})

describe('a bundle that somebody wrote by hand', () => {
  const device = makeEvidence()
  const token = { anchors: [psaAnchor()], expected: enrollingPsa }
  const { evidence, anchors, expected } = device
  const known = { kind: 'known', id: '00', state: { akName: 7 } } as const
  const wrongReferences = { referenceValues: { boot: [{ pcrs: 'all' }] } }
  const documentOf = (format: string) =>
    policyDocument.parse({
      v: 1,
      evidence: { [format]: { rules: {}, referenceValues: ['boot'] } },
      enroll: ['affirming'],
    })

  test.each([
    ['reference values', 'tpm2', bundleOf(evidence, { anchors, expected, ...wrongReferences })],
    ['a state', 'tpm2', bundleOf(evidence, { anchors, expected: { ...expected, attester: known } })],
    [
      'certificates',
      'tpm2',
      bundleOf(evidence, { anchors: anchors.map((anchor) => ({ ...anchor, der: Buffer.of(48, 0) })), expected }),
    ],
    ['reference values', 'psa', bundleOf(psaEvidence(makeToken()), { ...token, ...wrongReferences })],
  ])('with %s that are none of its format is refused as such: %s', (_what, format, written) => {
    expect(() => appraiseBundle(crypto, documentOf(format), written)).toThrow(
      expect.objectContaining({ code: 'evidence_malformed' }),
    )
  })
})

describe('what a bundle keeps of an attester', () => {
  test('is its state, where it is known', () => {
    const known = { kind: 'known', id: 'tpm2:1', state: { resetCount: 3 } } as const
    expect(bundledAttester(crypto, known)).toEqual(known)
    expect(bundledAttester(crypto, { kind: 'enrolling', activation: undefined })).toEqual({ kind: 'enrolling' })
  })

  test('is the hash of the secret that it was asked to open, and never the secret', () => {
    const secret = crypto.randomBytes(32)
    const kept = bundledAttester(crypto, { kind: 'enrolling', activation: { attesterId: 'a', state: {}, secret } })
    const hash = activationSecretHash(crypto, secret)
    expect(kept).toEqual({ kind: 'enrolling', activation: { attesterId: 'a', state: {}, secretHash: hash } })
    const wire = JSON.stringify(toWireBundle({ ...bundle, attesters: { tpm2: kept } }))
    expect(wire).not.toContain(toBase64url(secret))
    expect(evidenceBundle.safeParse(JSON.parse(wire)).success).toBe(true)
  })
})
