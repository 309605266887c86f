import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { appraiseBundle, type EvidenceBundle } from '../../../../protocol/attestation/evidence-bundle.ts'
import { policyDocument } from '../../../../protocol/attestation/policy.ts'
import type { Json } from '../../../../protocol/encoding.ts'
import {
  androidApp,
  androidEvidence,
  androidRoot,
  androidStatusList,
  enrollingAndroid,
  makeChain,
} from '../../../support/android-key/evidence.ts'
import { applicationId, type DescriptionChanges, rootOfTrust } from '../../../support/android-key/key-description.ts'
import {
  APP_ATTEST_NOW,
  appAttestApp,
  appAttestRoot,
  assertionEvidence,
  attestationEvidence,
  type DataChanges,
  enrollingAppAttest,
  knownAppAttest,
  makeAttestation,
  verifyAppAttest,
} from '../../../support/apple-app-attest/evidence.ts'
import { bundleOf } from '../../../support/evidence-bundles.ts'
import { native as crypto } from '../../../support/protocol-providers.ts'
import {
  enrollingPsa,
  makeToken,
  psaAnchor,
  psaComponent,
  psaEvidence,
  type TokenChanges,
} from '../../../support/psa.ts'
import { makeSevSnp, type SevSnpOptions, sevSnpCrl } from '../../../support/sev-snp/evidence.ts'
import { reportFields, sevSnpMeasurement } from '../../../support/sev-snp/report.ts'
import { tdxCollateral } from '../../../support/tdx/collateral.ts'
import { tdxAnchor, tdxCrl } from '../../../support/tdx/platform.ts'
import { enrollingTdx, makeQuote, type QuoteChanges, tdxEvidence, tdxTrustDomain } from '../../../support/tdx/quote.ts'
import { type EvidenceOptions, makeEvidence, pcrsAfter, testEvents, testPcrs } from '../../../support/tpm/evidence.ts'

/** The policies of deploy/policies give the verdicts that their descriptions say. */

const folder = join(import.meta.dirname, '..', '..', '..', '..', 'deploy', 'policies')

/** The tier, and whether a device enrols with it. */
function verdictOf(name: string, bundle: EvidenceBundle): [string, boolean] {
  const document = policyDocument.parse(JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')))
  const { tier } = appraiseBundle(crypto, document, bundle)
  return [tier, document.enroll.some((enrolling) => enrolling === tier)]
}

test('none takes a device that proves its key, and never affirms it', () => {
  const { expected } = makeEvidence()
  const attester = { kind: 'enrolling', activation: undefined } as const
  const bundle = bundleOf({ format: 'none' }, { anchors: [], expected: { ...expected, attester } })
  expect(verdictOf('none', bundle)).toEqual(['none', true])
})

describe('of a device with a TPM', () => {
  const allowed = Object.fromEntries(Object.entries(testPcrs.sha256 ?? {}).map(([pcr, value]) => [pcr, [value]]))
  const boot: Json[] = [{ pcrs: { sha256: allowed } }]
  const tpm = (options: EvidenceOptions = {}, referenceValues: Record<string, Json[]> = { boot }) => {
    const { evidence, anchors, expected } = makeEvidence(options)
    return bundleOf(evidence, { anchors, expected, referenceValues })
  }
  const otherBoot = { quote: { pcrs: pcrsAfter([...testEvents, { pcr: 4, text: 'another kernel' }]) } }
  const forged = { quote: { changes: { magic: 0x12345678 } } }

  test.each([
    ['that booted what is allowed', tpm(), ['affirming', true], ['affirming', true]],
    ['that booted something else', tpm(otherBoot), ['contraindicated', false], ['warning', true]],
    ['without reference values', tpm({}, {}), ['contraindicated', false], ['warning', true]],
    ['whose quote is none', tpm(forged), ['contraindicated', false], ['contraindicated', false]],
  ])('%s tpm-strict and tpm-observe say so', (_what, bundle, strict, observe) => {
    expect(verdictOf('tpm-strict', bundle)).toEqual(strict)
    expect(verdictOf('tpm-observe', bundle)).toEqual(observe)
  })
})

describe('of a device with a PSA token', () => {
  const signerId = '51'.repeat(32)
  const components = ['3e', '4e'].map((digits) => ({ measurement: digits.repeat(32), signerId }))
  const firmware: Json[] = [{ implementationId: '1a'.repeat(32), components }]
  const psa = (changes: TokenChanges = {}, referenceValues: Record<string, Json[]> = { firmware }) =>
    bundleOf(psaEvidence(makeToken(changes)), { anchors: [psaAnchor()], expected: enrollingPsa, referenceValues })

  test.each([
    ['that runs what is listed', psa(), ['affirming', true]],
    [
      'that runs something else',
      psa({ claims: { components: [psaComponent({ measurement: Buffer.alloc(32, 9) })] } }),
      ['contraindicated', false],
    ],
    ['that is being debugged', psa({ claims: { lifecycle: 0x4000 } }), ['contraindicated', false]],
    ['without reference values', psa({}, {}), ['contraindicated', false]],
    ['whose token is another’s', psa({ context: 'Signature' }), ['contraindicated', false]],
  ])('%s psa says so', (_what, bundle, verdict) => {
    expect(verdictOf('psa', bundle)).toEqual(verdict)
  })
})

describe('of a phone with Android', () => {
  const android = (
    description: DescriptionChanges = {},
    { referenceValues = { app: [androidApp] } as Record<string, Json[]>, collateral = [androidStatusList()] } = {},
  ) =>
    bundleOf(androidEvidence(makeChain({ description })), {
      anchors: [androidRoot()],
      expected: enrollingAndroid,
      referenceValues,
      collateral,
    })

  test.each([
    ['that is as it should be', android(), ['affirming', true]],
    ['without a status list', android({}, { collateral: [] }), ['warning', true]],
    [
      'of which a certificate is revoked',
      android({}, { collateral: [androidStatusList({ ba7c4: { status: 'REVOKED' } })] }),
      ['contraindicated', false],
    ],
    [
      'with a system of its owner',
      android({ hardware: { 704: rootOfTrust({ state: 1 }) } }),
      ['contraindicated', false],
    ],
    [
      'with another app',
      android({ software: { 709: applicationId([['org.example.other', 1]]) } }),
      ['contraindicated', false],
    ],
    ['without reference values', android({}, { referenceValues: {} }), ['contraindicated', false]],
    ['whose key was made for another challenge', android({ challenge: Buffer.alloc(32) }), ['contraindicated', false]],
  ])('%s android-key says so', (_what, bundle, verdict) => {
    expect(verdictOf('android-key', bundle)).toEqual(verdict)
  })
})

describe('of a device with App Attest', () => {
  const apple = (data: DataChanges = {}, referenceValues: Record<string, Json[]> = { app: [appAttestApp] }) =>
    bundleOf(attestationEvidence(makeAttestation({ data })), {
      anchors: [appAttestRoot],
      expected: enrollingAppAttest,
      referenceValues,
    })
  const { attester } = verifyAppAttest(attestationEvidence())
  const after = (days: number) =>
    bundleOf(assertionEvidence(), {
      anchors: [appAttestRoot],
      expected: knownAppAttest(attester, { now: APP_ATTEST_NOW + days * 86_400_000 }),
      referenceValues: { app: [appAttestApp] },
    })

  test.each([
    ['that is as it should be', apple(), ['affirming', true]],
    ['whose key was attested a year ago', after(365), ['affirming', true]],
    ['whose key was attested longer ago', after(366), ['warning', true]],
    ['of the development environment', apple({ aaguid: Buffer.from('appattestdevelop') }), ['contraindicated', false]],
    ['with another app', apple({ appId: 'ABCDE12345.org.other' }), ['contraindicated', false]],
    ['without reference values', apple({}, {}), ['contraindicated', false]],
    ['whose key has signed already', apple({ counter: 1 }), ['contraindicated', false]],
  ])('%s apple-app-attest says so', (_what, bundle, verdict) => {
    expect(verdictOf('apple-app-attest', bundle)).toEqual(verdict)
  })
})

describe('of a confidential virtual machine of AMD', () => {
  const guest: Json[] = [{ measurements: [sevSnpMeasurement.toString('hex')] }]
  const snp = (options: SevSnpOptions = {}, revoked: number[] | undefined = [], referenceValues = { guest }) => {
    const made = makeSevSnp(options)
    const { evidence, anchors, expected } = made
    return bundleOf(evidence, { anchors, expected, collateral: [sevSnpCrl(made, revoked)], referenceValues })
  }
  const withoutList = () => {
    const { evidence, anchors, expected } = makeSevSnp()
    return bundleOf(evidence, { anchors, expected, referenceValues: { guest } })
  }
  const debugged: SevSnpOptions = { change: (report) => void (report[reportFields.policy + 2] = 0x0a) }
  const forged: SevSnpOptions = { forge: (report) => void (report[reportFields.measurement] = 0) }

  test.each([
    ['that started what is listed', snp(), ['affirming', true]],
    ['of which nobody knows whether its key is revoked', withoutList(), ['warning', true]],
    ['of which the key is revoked', snp({}, [0x10001]), ['contraindicated', false]],
    ['that can be debugged', snp(debugged), ['contraindicated', false]],
    ['that started something else', snp({}, [], { guest: [] }), ['contraindicated', false]],
    ['whose report is none', snp(forged), ['contraindicated', false]],
  ])('%s sev-snp says so', (_what, bundle, verdict) => {
    expect(verdictOf('sev-snp', bundle)).toEqual(verdict)
  })
})

describe('of a trust domain', () => {
  const domain: Json[] = [tdxTrustDomain]
  const trustDomain = (changes: QuoteChanges = {}, collateral = tdxCollateral(), values = domain) =>
    bundleOf(tdxEvidence(makeQuote(changes)), {
      anchors: [tdxAnchor()],
      expected: enrollingTdx,
      collateral,
      referenceValues: { 'trust-domain': values },
    })
  const revoked = tdxCollateral({ authorityCrl: tdxCrl('authority', { revoked: [33] }) })
  const refused = ['contraindicated', false]

  test.each([
    ['that is listed', trustDomain(), ['affirming', true]],
    ['of TDX 1.5 that is listed', trustDomain({ version: 5, report: '1.5' }), ['affirming', true]],
    ['that is another', trustDomain({ td: { mrTd: Buffer.alloc(48, 9) } }), refused],
    ['that may be debugged', trustDomain({ td: { tdAttributes: Buffer.from('0100001000000000', 'hex') } }), refused],
    ['without reference values', trustDomain({}, tdxCollateral(), []), refused],
    ['without collateral', trustDomain({}, []), refused],
    ['on a platform that is revoked', trustDomain({}, revoked), refused],
    ['of another binding', trustDomain({ td: { reportData: Buffer.alloc(64) } }), refused],
  ])('%s tdx says so', (_what, bundle, verdict) => {
    expect(verdictOf('tdx', bundle)).toEqual(verdict)
  })
})
