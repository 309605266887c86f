import type { Tx } from '../../database/open.ts'
import { tierOfValue } from '../../protocol/attestation/appraisal.ts'
import {
  type AppraisalInputs,
  anchorIdsOf,
  appraisePieces,
  type EvidenceAppraisal,
  type FormatAppraisal,
  type PieceOfEvidence,
  parsePolicyEvidence,
} from '../../protocol/attestation/appraise.ts'
import type {
  Collateral,
  EvidenceFormatName,
  ExpectedEvidence,
  TrustAnchor,
} from '../../protocol/attestation/evidence-format.ts'
import type { Json } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { ServiceError } from '../errors.ts'
import type { AppraisalPolicy } from './policies.ts'

export type { FormatAppraisal }

/** What an organization trusts and expects, as it was at a time (milliseconds since the Unix epoch). */
export interface AttestationInputs {
  /** Of these look-up ids; what the custody's MAC does not vouch for is not among them. */
  findTrustAnchors(
    tx: Tx,
    wanted: { organizationId: string; format: EvidenceFormatName; lookupIds: readonly string[]; at: number },
  ): Promise<TrustAnchor[]>
  /** Of these look-up ids; what the custody's MAC does not vouch for is not among it. */
  listCollateral(tx: Tx, wanted: { lookupIds: readonly string[]; at: number }): Promise<Collateral[]>
  /** All values of these names. */
  listReferenceValues(
    tx: Tx,
    wanted: { organizationId: string; format: EvidenceFormatName; names: readonly string[]; at: number },
  ): Promise<Json[]>
}

export interface Appraisal extends EvidenceAppraisal {
  policyId: string
}

export interface EvidenceToAppraise extends JudgedEvidence {
  organizationId: string
}

export interface JudgedEvidence {
  policy: AppraisalPolicy
  /** Untrusted. */
  evidence: readonly Record<string, Json>[]
  binding: Uint8Array
  /** The public key in the binding. */
  identityKey: Uint8Array
  now: number
  /** What is known of the attester of a format. */
  expectedAttester: (format: EvidenceFormatName) => ExpectedEvidence['attester']
}

/**
 * Untrusted evidence against a policy: parse, load what the organization trusts and expects, and appraise
 * (`protocol/attestation/appraise.ts`). Evidence that fails a check is contraindicated, which is a value. Throws `malformed` for what is
 * not evidence, or not what the policy asks for.
 */
export async function appraiseEvidence(
  inputs: AttestationInputs,
  tx: Tx,
  given: EvidenceToAppraise,
): Promise<Appraisal> {
  return appraiseWith(given, async (piece) => {
    const { format, policy } = piece
    const lookupIds = anchorIdsOf(piece, given.expectedAttester(format))
    const at = { organizationId: given.organizationId, format, at: given.now }
    return {
      anchors: await inputs.findTrustAnchors(tx, { ...at, lookupIds }),
      collateral: await inputs.listCollateral(tx, { lookupIds: piece.parsed.collateralIds, at: given.now }),
      referenceValues: await inputs.listReferenceValues(tx, { ...at, names: policy.referenceValues }),
    }
  })
}

/** The same, with what the organization trusts and expects from wherever `load` has it. */
export async function appraiseWith(
  { policy, evidence, binding, identityKey, now, expectedAttester }: JudgedEvidence,
  load: (piece: PieceOfEvidence) => Promise<Omit<AppraisalInputs, 'expected'>>,
): Promise<Appraisal> {
  const pieces: (PieceOfEvidence & AppraisalInputs)[] = []
  for (const piece of asRequest(() => parsePolicyEvidence(policy.document, evidence))) {
    const expected = { binding, identityKey, now, attester: expectedAttester(piece.format) }
    pieces.push({ ...piece, ...(await load(piece)), expected })
  }
  return { ...asRequest(() => appraisePieces(pieces)), policyId: policy.id }
}

/** What evidence is refused for that cannot be read. */
function asRequest<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new ServiceError('malformed', error.message, { field: 'evidence', cause: error })
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
