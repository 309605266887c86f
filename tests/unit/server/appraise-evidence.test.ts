import { describe, expect, test } from 'vitest'
import type { Tx } from '../../../database/open.ts'
import { appraiseBundle, toWireBundle } from '../../../protocol/attestation/evidence-bundle.ts'
import type { TrustAnchor } from '../../../protocol/attestation/evidence-format.ts'
import { policyDocument } from '../../../protocol/attestation/policy.ts'
import type { Json } from '../../../protocol/encoding.ts'
import { type AttestationInputs, appraiseEvidence } from '../../../server/services/appraise-evidence.ts'
import { bundleOf } from '../../support/evidence-bundles.ts'
import { native as crypto } from '../../support/protocol-providers.ts'
import { enrollingPsa, makeToken, psaAnchor, psaEvidence, psaSigner } from '../../support/psa.ts'
import { makeEvidence, makeKnownEvidence, type TestEvidence, testPcrs, toText } from '../../support/tpm/evidence.ts'

/** What the service decided is decided again from a bundle of what it had, with the same findings. */

const allowed = Object.fromEntries(Object.entries(testPcrs.sha256 ?? {}).map(([pcr, value]) => [pcr, [value]]))
const referenceValues: Record<string, Json[]> = {
  boot: [{ pcrs: { sha256: allowed } }],
  firmware: [
    {
      implementationId: '1a'.repeat(32),
      components: [{ measurement: '3e'.repeat(32), signerId: psaSigner.toString('hex') }],
    },
  ],
}
const documents = {
  tpm2: policyDocument.parse({
    v: 1,
    evidence: { tpm2: { rules: { restarts: 'warning' }, referenceValues: ['boot'] } },
    enroll: ['affirming'],
  }),
  psa: policyDocument.parse({
    v: 1,
    evidence: { psa: { rules: {}, referenceValues: ['firmware'] } },
    enroll: ['affirming'],
  }),
}

const inputsOf = (anchors: readonly TrustAnchor[]): AttestationInputs => ({
  findTrustAnchors: async (_tx, { lookupIds }) => anchors.filter(({ lookupId }) => lookupIds.includes(lookupId)),
  listCollateral: async () => [],
  listReferenceValues: async (_tx, { names }) => names.flatMap((name) => referenceValues[name] ?? []),
})

type Case = Pick<TestEvidence, 'evidence' | 'anchors' | 'expected'>
const tpm = makeEvidence()
const secretOf = (bytes: Uint8Array): Case => ({
  ...tpm,
  evidence: { ...tpm.evidence, activatedSecret: toText(bytes) },
})
const { activatedSecret: _secret, ...withoutSecret } = tpm.evidence
const stranger = makeEvidence({ name: 'stranger' })
const cases: [string, string, 'tpm2' | 'psa', Case][] = [
  ['an enrolment', 'affirming', 'tpm2', tpm],
  ['an enrolment with a wrong secret', 'contraindicated', 'tpm2', secretOf(Buffer.alloc(32, 1))],
  ['an enrolment with a secret of zeros', 'contraindicated', 'tpm2', secretOf(Buffer.alloc(32))],
  ['an enrolment without a secret', 'contraindicated', 'tpm2', { ...tpm, evidence: withoutSecret }],
  [
    'an enrolment that asked for no credential',
    'contraindicated',
    'tpm2',
    { ...tpm, expected: { ...tpm.expected, attester: { kind: 'enrolling', activation: undefined } } },
  ],
  [
    'an enrolment with the credential of another device',
    'contraindicated',
    'tpm2',
    { ...tpm, expected: { ...tpm.expected, attester: stranger.expected.attester } },
  ],
  ['an enrolment whose authority nobody trusts', 'contraindicated', 'tpm2', { ...tpm, anchors: [] }],
  ['an enrolment of another time', 'contraindicated', 'tpm2', { ...tpm, expected: { ...tpm.expected, now: 0 } }],
  ['a re-attestation', 'affirming', 'tpm2', makeKnownEvidence()],
  [
    'a re-attestation after a restart',
    'warning',
    'tpm2',
    makeKnownEvidence({ quote: { changes: { resetCount: 99 } } }),
  ],
  [
    'a re-attestation for another challenge',
    'contraindicated',
    'tpm2',
    makeKnownEvidence({ quote: { binding: Buffer.alloc(32, 7) } }),
  ],
  ['a token', 'warning', 'psa', { evidence: psaEvidence(makeToken()), anchors: [psaAnchor()], expected: enrollingPsa }],
]

describe.each(cases)('%s', (_what, tier, format, { evidence, anchors, expected }) => {
  const document = documents[format]
  const policy = { id: 'edge@1', document, identityAlgorithms: [] }
  const decide = () =>
    appraiseEvidence(inputsOf(anchors), {} as Tx, {
      organizationId: '',
      policy,
      evidence: [evidence],
      binding: expected.binding,
      identityKey: expected.identityKey,
      now: expected.now,
      expectedAttester: () => expected.attester,
    })

  test(`is ${tier}, each time, and again from its bundle: findings, vector and attester`, async () => {
    const { policyId, ...decided } = await decide()
    expect([policyId, decided.tier]).toEqual(['edge@1', tier])
    expect(decided.appraisals[format]?.findings.length).toBeGreaterThan(0)
    const bundle = bundleOf(evidence, { anchors, expected, referenceValues })
    expect(appraiseBundle(crypto, document, bundle)).toEqual(decided)
    expect(await decide()).toEqual({ policyId, ...decided })
  })

  test('has a secret in its bundle nowhere but in the evidence that opened it', () => {
    const { attester } = expected
    const secret = attester.kind === 'enrolling' ? attester.activation?.secret : undefined
    const wire = JSON.stringify({ ...toWireBundle(bundleOf(evidence, { anchors, expected })), evidence: [] })
    expect(wire).not.toContain(toText(secret ?? Buffer.from('none')))
  })
})

test('evidence that cannot be read, or is not what the policy asks for, is malformed', async () => {
  const decide = (evidence: Record<string, Json>[]) =>
    appraiseEvidence(inputsOf([]), {} as Tx, {
      organizationId: '',
      policy: { id: 'edge@1', document: documents.psa, identityAlgorithms: [] },
      evidence,
      binding: enrollingPsa.binding,
      identityKey: enrollingPsa.identityKey,
      now: 0,
      expectedAttester: () => enrollingPsa.attester,
    })
  for (const evidence of [
    [],
    [{ format: 'none' }],
    [psaEvidence(Buffer.of(1))],
    [psaEvidence(makeToken()), { format: 'psa' }],
  ]) {
    await expect(decide(evidence)).rejects.toMatchObject({ code: 'malformed', extra: { field: 'evidence' } })
  }
})
