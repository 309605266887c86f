import { androidKey } from '../../protocol/attestation/formats/android-key.ts'
import { appleAppAttest } from '../../protocol/attestation/formats/apple-app-attest.ts'
import { psa } from '../../protocol/attestation/formats/psa.ts'
import { sevSnp } from '../../protocol/attestation/formats/sev-snp.ts'
import { tdx } from '../../protocol/attestation/formats/tdx.ts'
import { tpm2 } from '../../protocol/attestation/formats/tpm2.ts'
import type { Json } from '../../protocol/encoding.ts'
import {
  androidApp,
  androidEvidence,
  androidRoot,
  androidStatusList,
  enrollingAndroid,
  makeChain,
  makeIdentity,
} from '../../tests/support/android-key/evidence.ts'
import {
  appAttestApp,
  appAttestRoot,
  assertionEvidence,
  attestationEvidence,
  enrollingAppAttest,
  knownAppAttest,
  verifyAppAttest,
} from '../../tests/support/apple-app-attest/evidence.ts'
import { enrollingPsa, makeToken, psaAnchor, psaEvidence, psaKeyPair, psaRelease } from '../../tests/support/psa.ts'
import { makeSevSnp, type SevSnpOptions, sevSnpCrl } from '../../tests/support/sev-snp/evidence.ts'
import { sevSnpMeasurement } from '../../tests/support/sev-snp/report.ts'
import { tdxCollateral } from '../../tests/support/tdx/collateral.ts'
import { tdxAnchor } from '../../tests/support/tdx/platform.ts'
import {
  enrollingTdx,
  makeQuote,
  type QuoteChanges,
  tdxEvidence,
  tdxTrustDomain,
} from '../../tests/support/tdx/quote.ts'
import {
  akKinds,
  type EvidenceOptions,
  makeEvidence,
  makeKnownEvidence,
  type TestEvidence,
  testPcrs,
} from '../../tests/support/tpm/evidence.ts'
import { testKeyPair } from '../../tests/support/x509-signing.ts'

/** One piece of evidence of a format, from its JSON to its findings. */
export interface Verification {
  name: string
  run: () => unknown
  /** In a second on one core, as was promised. */
  targetPerSecond?: number
}

/** Of each format: what a device sends when it enrols, and what it sends every five minutes (a PSA token is the same both times). */
export function listVerifications(): Verification[] {
  const rsa = { ek: 'RSA-2048', ak: akKinds['RSASSA, SHA-256'] } satisfies EvidenceOptions
  const p256 = { ek: 'P-256', ak: akKinds['ECDSA P-256, SHA-256'] } satisfies EvidenceOptions
  return [
    { name: 'tpm2 enrolment, RSA-2048', run: verifyingTpm2(makeEvidence(rsa)) },
    { name: 'tpm2 enrolment, P-256', run: verifyingTpm2(makeEvidence(p256)) },
    { name: 'tpm2 known AK, RSA-2048', run: verifyingTpm2(makeKnownEvidence(rsa)), targetPerSecond: 3000 },
    { name: 'tpm2 known AK, P-256', run: verifyingTpm2(makeKnownEvidence(p256)), targetPerSecond: 3000 },
    { name: 'psa, ES256', run: verifyingPsa('ES256') },
    { name: 'psa, ES384', run: verifyingPsa('ES384') },
    { name: 'psa, ES512', run: verifyingPsa('ES512') },
    { name: 'android-key', run: verifyingAndroidKey() },
    { name: 'android-key, with the identity key', run: verifyingAndroidKey(makeIdentity()) },
    { name: 'apple-app-attest, attestation', run: verifyingAppAttest(attestationEvidence()) },
    { name: 'apple-app-attest, assertion', run: verifyingAppAttest(assertionEvidence()) },
    { name: 'sev-snp, VCEK', run: verifyingSevSnp({}) },
    { name: 'sev-snp, VLEK', run: verifyingSevSnp({ signingKey: 'vlek' }) },
    { name: 'tdx, version 4', run: verifyingTdx() },
    { name: 'tdx, version 5 with TDX 1.5', run: verifyingTdx({ version: 5, report: '1.5' }) },
  ]
}

function verifyingTpm2({ evidence, anchors, expected }: TestEvidence): () => unknown {
  const rules = tpm2.rules.parse({})
  const values = Object.entries(testPcrs.sha256 ?? {}).map(([pcr, value]) => [pcr, [value]])
  const references: Json[] = [{ pcrs: { sha256: Object.fromEntries(values) } }]
  return () => tpm2.parse(evidence).verify(anchors, expected).appraise(rules, references)
}

function verifyingPsa(algorithm: 'ES256' | 'ES384' | 'ES512'): () => unknown {
  const rules = psa.rules.parse({})
  const evidence = psaEvidence(makeToken({ algorithm }))
  const anchors = [psaAnchor(psaKeyPair(algorithm))]
  return () => psa.parse(evidence).verify(anchors, enrollingPsa).appraise(rules, [psaRelease])
}

/** Three certificates on P-256 and P-384, and the root. */
function verifyingAndroidKey(identity?: { chain: Buffer[]; identityKey: Uint8Array }): () => unknown {
  const rules = androidKey.rules.parse({})
  const description = { attestationVersion: identity ? 500 : 400 }
  const evidence = androidEvidence(makeChain({ description }), identity?.chain)
  const expected = { ...enrollingAndroid, ...(identity && { identityKey: identity.identityKey }) }
  const anchors = [androidRoot()]
  const collateral = [androidStatusList()]
  return () => androidKey.parse(evidence).verify(anchors, expected, collateral).appraise(rules, [androidApp])
}

/** Of a device that is known: an attestation enrols and is as much work later. */
function verifyingAppAttest(evidence: Record<string, Json>): () => unknown {
  const rules = appleAppAttest.rules.parse({})
  const { attester } = verifyAppAttest(attestationEvidence(), enrollingAppAttest)
  const expected = knownAppAttest(attester)
  const anchors = [appAttestRoot]
  return () => appleAppAttest.parse(evidence).verify(anchors, expected).appraise(rules, [appAttestApp])
}

function verifyingSevSnp(options: SevSnpOptions): () => unknown {
  const rules = sevSnp.rules.parse({})
  const made = makeSevSnp({ ...options, authorityKind: 'RSA-4096' })
  const { evidence, anchors, expected } = made
  const collateral = [sevSnpCrl(made, [], { signingKey: testKeyPair('RSA-4096', 'ARK').privateKey })]
  const references: Json[] = [{ measurements: [sevSnpMeasurement.toString('hex')] }]
  return () => sevSnp.parse(evidence).verify(anchors, expected, collateral).appraise(rules, references)
}

/** With revocation lists, TCB info and the identity of the quoting enclave. */
function verifyingTdx(changes: QuoteChanges = {}): () => unknown {
  const rules = tdx.rules.parse({})
  const evidence = tdxEvidence(makeQuote(changes))
  const collateral = tdxCollateral()
  const anchors = [tdxAnchor()]
  return () => tdx.parse(evidence).verify(anchors, enrollingTdx, collateral).appraise(rules, [tdxTrustDomain])
}
