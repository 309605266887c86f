import type { Json } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import {
  CRYPTOGRAPHY_FAILED,
  type Finding,
  type TrustworthinessVector,
  tierOfVector,
  toTrustworthinessVector,
  worstTier,
} from './appraisal.ts'
import type { TrustworthinessTier } from './ear.ts'
import {
  type Attester,
  type Collateral,
  type EvidenceFormatName,
  type ExpectedEvidence,
  malformedEvidence,
  type ParsedEvidence,
  type TrustAnchor,
} from './evidence-format.ts'
import { evidenceFormats } from './formats.ts'
import { type EvidencePolicy, evidencePoliciesOf, type PolicyDocument } from './policy.ts'

export interface FormatAppraisal {
  tier: TrustworthinessTier
  vector: TrustworthinessVector
  findings: readonly Finding[]
}

export interface EvidenceAppraisal {
  /** The worst of the formats'. */
  tier: TrustworthinessTier
  /** By format of evidence. */
  appraisals: Partial<Record<EvidenceFormatName, FormatAppraisal>>
  /** What is now known of the attesters behind the evidence that was verified, one for a format at most. */
  attesters: (Attester & { format: EvidenceFormatName })[]
}

/** A piece of evidence that a policy asks for. Nothing of it is verified. */
export interface PieceOfEvidence {
  format: EvidenceFormatName
  policy: EvidencePolicy
  parsed: ParsedEvidence
}

/** What a piece of evidence is held against. */
export interface AppraisalInputs {
  /** Of the look-up ids that the evidence names. */
  anchors: readonly TrustAnchor[]
  /** Of the look-up ids that the evidence names: of each the newest. */
  collateral: readonly Collateral[]
  /** All values of the names that the policy gives. */
  referenceValues: readonly Json[]
  expected: ExpectedEvidence
}

/** Which trust anchors a piece is held against: those that it names, and those by which its attester was let in. */
export function anchorIdsOf({ format, parsed }: PieceOfEvidence, attester: ExpectedEvidence['attester']): string[] {
  const known = attester.kind === 'known' ? evidenceFormats[format].anchorIdsOf(attester.state) : []
  return [...new Set([...parsed.trustAnchorIds, ...known])]
}

/** Exactly one piece of each format that the policy names. Untrusted evidence. Throws `evidence_malformed`. */
export function parsePolicyEvidence(
  document: PolicyDocument,
  evidence: readonly Record<string, Json>[],
): PieceOfEvidence[] {
  const wanted = evidencePoliciesOf(document)
  const given = evidence.map(({ format }) => format)
  const isExact = given.length === wanted.length && wanted.every(([format]) => given.includes(format))
  if (!isExact) throw malformedEvidence(`The policy takes exactly one piece of evidence, of ${namesOf(wanted)}.`)
  return wanted.map(([format, policy]) => {
    const piece = evidence.find((one) => one.format === format) ?? {}
    return { format, policy, parsed: withFormatNamed(format, () => evidenceFormats[format].parse(piece)) }
  })
}

/**
 * A policy's verdict, a pure function of what is given: so a verdict of years ago can be had again. Evidence that fails a check is
 * contraindicated, which is a value. Throws `evidence_malformed`.
 */
export function appraisePieces(pieces: readonly (PieceOfEvidence & AppraisalInputs)[]): EvidenceAppraisal {
  const appraisal: EvidenceAppraisal = { tier: 'none', appraisals: {}, attesters: [] }
  for (const piece of pieces) {
    const { format } = piece
    const { findings, attester } = appraisePiece(piece)
    const vector = toTrustworthinessVector(findings)
    appraisal.appraisals[format] = { tier: tierOfVector(vector), vector, findings }
    if (attester !== undefined) appraisal.attesters.push({ format, ...attester })
  }
  appraisal.tier = worstTier(Object.values(appraisal.appraisals).map(({ tier }) => tier))
  return appraisal
}

function appraisePiece({
  format,
  policy,
  parsed,
  anchors,
  collateral,
  referenceValues,
  expected,
}: PieceOfEvidence & AppraisalInputs): { findings: readonly Finding[]; attester: Attester | undefined } {
  try {
    const verified = withFormatNamed(format, () => parsed.verify(anchors, expected, collateral))
    return { findings: verified.appraise(policy.rules, referenceValues), attester: verified.attester }
  } catch (error) {
    if (!(error instanceof ProtocolError) || error.code !== 'evidence_refused') throw error
    return { findings: [failedCheck(format, error)], attester: undefined }
  }
}

function failedCheck(format: EvidenceFormatName, { check = format, message }: ProtocolError): Finding {
  return { check, claim: 'instance-identity', value: CRYPTOGRAPHY_FAILED, detail: message }
}

/** What else than a failed check is thrown is evidence that could not be read. */
function withFormatNamed<T>(format: EvidenceFormatName, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof ProtocolError) || error.code === 'evidence_refused') throw error
    throw malformedEvidence(`Evidence of format ${format}: ${error.message}`, { cause: error })
  }
}

function namesOf(wanted: readonly (readonly [EvidenceFormatName, EvidencePolicy])[]): string {
  const names = wanted.map(([format]) => format)
  return names.length === 1 ? `format ${names[0]}` : `each of the formats ${names.join(', ')}`
}
