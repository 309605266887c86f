import { DatabaseError } from '../../database/errors.ts'
import {
  type AttestingParty,
  findAttestingParty,
  storeReattestation,
} from '../../database/repositories/reattestations.ts'
import type { ReferenceValueRow } from '../../database/repositories/reference-values.ts'
import type { PieceOfEvidence } from '../../protocol/attestation/appraise.ts'
import { nextAttestationAt } from '../../protocol/attestation/intervals.ts'
import type { AttestationAnswer, AttestationSubmission } from '../../protocol/attestation/messages.ts'
import type { Json } from '../../protocol/encoding.ts'
import { attestationBinding } from '../../protocol/enrollment.ts'
import type { SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { appraiseWith } from './appraise-evidence.ts'
import { keepGenuineAnchors, keepGenuineValues, readReferenceValue } from './attestation-inputs.ts'
import { attestedEvent, completionHashOf, toAnswer } from './attested.ts'
import { expectedAttester, requireActivated, toAttesterRow, toKnownAttesters } from './attesters.ts'
import { isInActiveSession, policyOf } from './attesting-party.ts'
import { openChallenge } from './challenges.ts'
import type { CompleteAttestationParts } from './complete-attestation.ts'
import { countAppraisal } from './count-appraisal.ts'
import { type AppraisedEvidence, issueAttestation } from './store-attestation.ts'
import { isSignedBy, signedBytesOf } from './verify-submission.ts'

interface Submitted {
  caller: SessionCaller
  attestationId: string
  submission: AttestationSubmission
  requestId: string
}

/** Who submits it, as it was read, with a challenge that it can still answer. */
type AnsweringParty = AttestingParty & { challenge: NonNullable<AttestingParty['challenge']> }

/**
 * What nearly all attestations of a fleet are: signed, readable evidence of a device that is known, and nothing in it speaks against
 * the device. One look-up, and one write that stores nothing when anything of what was read has changed. Undefined, with nothing done,
 * for whatever is otherwise: what becomes of that is said in one place alone, `complete-attestation.ts`.
 */
export async function completeUsualAttestation(
  parts: CompleteAttestationParts,
  submitted: Submitted,
): Promise<AttestationAnswer | undefined> {
  const { caller, submission, requestId } = submitted
  // One time for all of it: with what was there then the verdict can be had again.
  const now = parts.clock.now()
  const read = await findAttestingParty(parts.database, caller, now)
  if (read === undefined || !canAnswer(read, submitted, now)) return undefined
  const { principal, challenge } = read
  const at = { table: 'attestation_challenge', organizationId: caller.organizationId, ...challenge } as const
  const opened = await openChallenge(parts.keyring, at, challenge.sealedChallenge)
  const signedBytes = signedBytesOf(parts.crypto, { device: principal, challenge, opened }, submission)
  if (!(await isSignedBy(parts, principal.identityKey, signedBytes, submission))) return undefined
  const judged = await judge(parts, read, { opened, evidence: submission.evidence, now })
  if (judged === undefined || !isUsual(judged)) return undefined

  const { appraisal, nextAttestationAt: next } = judged
  const device = { ...principal, principalId: principal.id }
  const { issued, result, evidence } = await issueAttestation(parts, device, judged, now)
  try {
    await storeReattestation(parts.database, read, {
      result: { ...result, sessionId: caller.sessionId },
      evidence,
      completionHash: completionHashOf(parts.crypto, signedBytes, submission.signature),
      attesters: appraisal.attesters.map((attester) => toAttesterRow(parts.keyring, device, attester)),
      nextAttestationAt: next,
      events: [attestedEvent(parts.writeEvent, { caller, kid: principal.identityKey.kid, requestId }, issued, now)],
    })
  } catch (error) {
    if (error instanceof DatabaseError && error.code === 'condition_failed') return undefined
    throw error
  }
  countAppraisal(parts.metrics, appraisal)
  return toAnswer({ id: principal.id, status: 'ACTIVE', nextAttestationAt: next }, issued)
}

function canAnswer(party: AttestingParty, { caller, attestationId }: Submitted, now: number): party is AnsweringParty {
  const { challenge } = party
  if (!isInActiveSession(party, caller, now)) return false
  if (challenge?.id !== attestationId || challenge.sessionId !== caller.sessionId) return false
  return challenge.consumedAt === undefined && now < challenge.expiresAt
}

interface Judged extends Omit<AppraisedEvidence, 'sessionId'> {
  nextAttestationAt: number | undefined
}

/** Undefined for evidence that cannot be read, is not what the policy asks for, or is held against collateral. */
async function judge(
  parts: CompleteAttestationParts,
  { principal, challenge, ...read }: AnsweringParty,
  { opened, evidence, now }: { opened: Uint8Array; evidence: AttestationSubmission['evidence']; now: number },
): Promise<Judged | undefined> {
  try {
    const policy = await policyOf(parts, { principal, challenge, ...read })
    const attesters = await toKnownAttesters(parts.keyring, read.attesters)
    requireActivated(policy.document, attesters)
    const { sessionId } = challenge
    const binding = attestationBinding(parts.crypto, { challenge: opened, ...principal.identityKey, sessionId })
    const values = await keepGenuineValues(parts, read.referenceValues)
    const anchors = await keepGenuineAnchors(parts, read.anchors)
    const identityKey = principal.identityKey.publicKey
    let needsCollateral = false
    const appraisal = await appraiseWith(
      {
        policy,
        evidence,
        binding,
        identityKey,
        now,
        expectedAttester: (format) => expectedAttester(attesters, format),
      },
      async (piece) => {
        if (piece.parsed.collateralIds.length > 0) needsCollateral = true
        const own = anchors.filter(({ format }) => format === piece.format)
        return { anchors: own, collateral: [], referenceValues: valuesOf(piece, values) }
      },
    )
    // It was not read, and what lacks is a finding.
    if (needsCollateral) return undefined
    return { evidence, binding, attesters, appraisal, nextAttestationAt: nextAttestationAt(policy.document, now) }
  } catch (error) {
    if (error instanceof ServiceError) return undefined
    throw error
  }
}

function valuesOf({ format, policy }: PieceOfEvidence, values: readonly ReferenceValueRow[]): Json[] {
  const wanted = values.filter((value) => value.format === format && policy.referenceValues.includes(value.name))
  return wanted.map(({ body }) => readReferenceValue(body))
}

/** Evidence that needs other trust anchors than its attester was let in by is contraindicated here, and looked at again there. */
function isUsual({ appraisal, attesters }: Judged): boolean {
  const areKnown = appraisal.attesters.every(({ format }) => attesters[format]?.kind === 'known')
  return areKnown && appraisal.tier !== 'contraindicated'
}
