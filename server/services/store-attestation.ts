import type { Tx } from '../../database/open.ts'
import { insertAttestation } from '../../database/repositories/attestations.ts'
import type { Finding } from '../../protocol/attestation/appraisal.ts'
import { bundledAttester, evidenceBundle } from '../../protocol/attestation/evidence-bundle.ts'
import type { EvidenceFormatName } from '../../protocol/attestation/evidence-format.ts'
import { canonicalJson, type Json } from '../../protocol/encoding.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { newId } from '../../runtime/ids.ts'
import type { Appraisal } from './appraise-evidence.ts'
import { type ExpectedAttesters, storeAttesters } from './attesters.ts'
import type { IssueAttestationResult, IssuedAttestationResult } from './issue-attestation-result.ts'

/** Whose evidence it was. */
export interface AppraisedDevice {
  organizationId: string
  principalId: string
  spiffeId: string
  /** The key that the evidence was bound to. */
  identityKey: { kid: string; alg: SignatureAlgorithm; publicKey: Uint8Array }
}

/** What was appraised, and with what. */
export interface AppraisedEvidence {
  evidence: Json
  binding: Uint8Array
  /** As they were known before. */
  attesters: ExpectedAttesters
  sessionId: string | undefined
  appraisal: Appraisal
}

/** Signs the result, and stores it with everything that it takes to appraise the evidence again, and what is known of the attesters now. */
export async function storeAttestation(
  parts: { crypto: Primitives; keyring: Keyring; issueResult: IssueAttestationResult },
  tx: Tx,
  device: AppraisedDevice,
  appraised: AppraisedEvidence,
  now: number,
): Promise<IssuedAttestationResult> {
  const { organizationId, principalId } = device
  const { appraisal, attesters } = appraised
  await storeAttesters(parts.keyring, tx, { organizationId, principalId }, appraisal, attesters, now)
  const { issued, result, evidence } = await issueAttestation(parts, device, appraised, now)
  await insertAttestation(tx, { ...result, sessionId: appraised.sessionId }, evidence)
  return issued
}

/** Signs the result; with it, what is to be stored. */
export async function issueAttestation(
  parts: { crypto: Primitives; issueResult: IssueAttestationResult },
  { organizationId, principalId, spiffeId, identityKey }: AppraisedDevice,
  { appraisal, attesters, evidence, binding }: Omit<AppraisedEvidence, 'sessionId'>,
  now: number,
) {
  const { alg, publicKey, kid } = identityKey
  const issued = await parts.issueResult({ spiffeId, alg, publicKey, appraisal }, now)
  return {
    issued,
    result: { ...issued, organizationId, principalId, kid, findings: findingsToJson(appraisal) },
    evidence: {
      id: newId(),
      body: canonicalJson(evidence),
      binding,
      attesters: attestersToJson(parts.crypto, attesters),
    },
  }
}

/** By format of evidence. */
export type Findings = Partial<Record<EvidenceFormatName, Finding[]>>

function findingsToJson({ appraisals }: Appraisal): string {
  return JSON.stringify(
    Object.fromEntries(Object.entries(appraisals).map(([format, { findings }]) => [format, findings])),
  )
}

/** Of what `storeAttestation` stored. */
export function parseStoredFindings(text: string): Findings {
  return JSON.parse(text) as Findings
}

const bundledAttesters = evidenceBundle.shape.attesters

/** The secrets that attesters were asked to open are not among it. */
function attestersToJson(crypto: Primitives, attesters: ExpectedAttesters): string {
  const bundled = Object.entries(attesters).map(([format, expected]) => [format, bundledAttester(crypto, expected)])
  return JSON.stringify(bundledAttesters.encode(Object.fromEntries(bundled)))
}

/** Of what `storeAttestation` stored. */
export function parseStoredAttesters(text: string) {
  return bundledAttesters.parse(JSON.parse(text))
}
