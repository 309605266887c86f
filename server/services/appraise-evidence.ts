import type { Tx } from '../../database/open.ts'
import {
  CRYPTOGRAPHY_FAILED,
  type Finding,
  type TrustworthinessVector,
  tierOfValue,
  tierOfVector,
  toTrustworthinessVector,
  worstTier,
} from '../../protocol/attestation/appraisal.ts'
import type { TrustworthinessTier } from '../../protocol/attestation/ear.ts'
import type {
  Attester,
  EvidenceFormat,
  EvidenceFormatName,
  ExpectedEvidence,
  TrustAnchor,
} from '../../protocol/attestation/evidence-format.ts'
import { evidenceFormats } from '../../protocol/attestation/formats.ts'
import { type EvidencePolicy, evidencePoliciesOf } from '../../protocol/attestation/policy.ts'
import type { Json } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { ServiceError } from '../errors.ts'
import type { AppraisalPolicy } from './policies.ts'

/** What an organization trusts and expects, as it was at a time (milliseconds since the Unix epoch). */
export interface AttestationInputs {
  /** Of these look-up ids; what the custody's MAC does not vouch for is not among them. */
  findTrustAnchors(
    tx: Tx,
    wanted: { organizationId: string; format: EvidenceFormatName; lookupIds: readonly string[]; at: number },
  ): Promise<TrustAnchor[]>
  /** All values of these names. */
  listReferenceValues(
    tx: Tx,
    wanted: { organizationId: string; format: EvidenceFormatName; names: readonly string[]; at: number },
  ): Promise<Json[]>
}

export interface FormatAppraisal {
  tier: TrustworthinessTier
  vector: TrustworthinessVector
  findings: readonly Finding[]
}

export interface Appraisal {
  tier: TrustworthinessTier
  policyId: string
  /** By format of evidence. */
  appraisals: Partial<Record<EvidenceFormatName, FormatAppraisal>>
  /** What is now known of the attesters behind the evidence that was verified, one for a format at most. */
  attesters: (Attester & { format: EvidenceFormatName })[]
}

export interface EvidenceToAppraise {
  organizationId: string
  policy: AppraisalPolicy
  /** Untrusted. */
  evidence: readonly Record<string, Json>[]
  binding: Uint8Array
  now: number
  /** What is known of the attester of a format. */
  expectedAttester: (format: EvidenceFormatName) => ExpectedEvidence['attester']
}

/**
 * Untrusted evidence against a policy: parse, anchors, cryptographic checks, claims, reference values, rules. Evidence that fails a
 * check is contraindicated, which is a value. Throws `malformed` for what is not evidence, or not what the policy asks for.
 */
export async function appraiseEvidence(
  inputs: AttestationInputs,
  tx: Tx,
  given: EvidenceToAppraise,
): Promise<Appraisal> {
  const wanted = evidencePoliciesOf(given.policy.document)
  requireFormats(
    given,
    wanted.map(([format]) => format),
  )
  const appraisal: Appraisal = { tier: 'none', policyId: given.policy.id, appraisals: {}, attesters: [] }
  for (const [format, policy] of wanted) {
    const evidence = given.evidence.find((one) => one.format === format) ?? {}
    const { findings, attester } = await appraiseOne(inputs, tx, given, { format, policy, evidence })
    const vector = toTrustworthinessVector(findings)
    appraisal.appraisals[format] = { tier: tierOfVector(vector), vector, findings }
    if (attester !== undefined) appraisal.attesters.push({ format, ...attester })
  }
  appraisal.tier = worstTier(Object.values(appraisal.appraisals).map(({ tier }) => tier))
  return appraisal
}

async function appraiseOne(
  inputs: AttestationInputs,
  tx: Tx,
  { organizationId, binding, now, expectedAttester }: EvidenceToAppraise,
  { format, policy, evidence }: { format: EvidenceFormatName; policy: EvidencePolicy; evidence: Record<string, Json> },
): Promise<{ findings: readonly Finding[]; attester: Attester | undefined }> {
  try {
    const parsed = getFormat(format).parse(evidence)
    const at = { organizationId, format, at: now }
    const anchors = await inputs.findTrustAnchors(tx, { ...at, lookupIds: parsed.trustAnchorIds })
    const verified = parsed.verify(anchors, { binding, now, attester: expectedAttester(format) })
    const values = await inputs.listReferenceValues(tx, { ...at, names: policy.referenceValues })
    return { findings: verified.appraise(policy.rules, values), attester: verified.attester }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    if (error.code === 'evidence_refused') return { findings: [failedCheck(format, error)], attester: undefined }
    throw new ServiceError('malformed', `Evidence of format ${format}: ${error.message}`, {
      field: 'evidence',
      cause: error,
    })
  }
}

/** Throws `evidence_refused` for a device that the policy does not let in as what it was found to be; it names the checks. */
export function requireEnrollingTier({ id, document }: AppraisalPolicy, { tier, appraisals }: Appraisal): void {
  if (document.enroll.some((enrolling) => enrolling === tier)) return
  const findings = Object.values(appraisals).flatMap((appraisal) => appraisal.findings)
  const checks = findings.filter(({ value }) => tierOfValue(value) === tier).map(({ check }) => check)
  const because = checks.length > 0 ? ` by ${[...new Set(checks)].join(', ')}` : ''
  throw new ServiceError('evidence_refused', `Policy ${id} admits nobody who is ${tier}${because}.`, {
    field: 'evidence',
  })
}

function getFormat(name: EvidenceFormatName): EvidenceFormat {
  const format = evidenceFormats[name]
  if (format === undefined) throw new Error(`There is no format ${name}.`)
  return format
}

function failedCheck(format: EvidenceFormatName, { check = format, message }: ProtocolError): Finding {
  return { check, claim: 'instance-identity', value: CRYPTOGRAPHY_FAILED, detail: message }
}

function requireFormats({ policy, evidence }: EvidenceToAppraise, wanted: readonly EvidenceFormatName[]): void {
  const given = evidence.map(({ format }) => format)
  const isExact = given.length === wanted.length && wanted.every((format) => given.includes(format))
  if (isExact) return
  const pieces = wanted.length === 1 ? `format ${wanted[0]}` : `each of the formats ${wanted.join(', ')}`
  throw new ServiceError('malformed', `Policy ${policy.id} takes exactly one piece of evidence, of ${pieces}.`, {
    field: 'evidence',
  })
}
