import type { Database, Tx } from '../../database/open.ts'
import {
  type AttestationChallengeRow,
  findAttestationChallenge,
} from '../../database/repositories/attestation-challenges.ts'
import { getAttestation } from '../../database/repositories/attestations.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  consumeDeviceChallenge,
  markDeviceChallengeMismatched,
  nameChallengeResult,
} from '../../database/repositories/device-challenges.ts'
import { lockPrincipal, markPrincipalAttested } from '../../database/repositories/principals.ts'
import { ATTESTATION_INTERVAL_MS, nextAttestationAt } from '../../protocol/attestation/intervals.ts'
import type { AttestationAnswer, AttestationSubmission } from '../../protocol/attestation/messages.ts'
import { attestationBinding } from '../../protocol/enrollment.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { LoggedEvent, WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { ProfileName } from '../../runtime/profile.ts'
import { actorOf, type SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import type { AccessTokens } from './access-tokens.ts'
import { type AttestationInputs, appraiseEvidence } from './appraise-evidence.ts'
import { attestedEvent, completionHashOf, toAnswer } from './attested.ts'
import { claimAttesters, expectedAttester, readAttesters, requireActivated } from './attesters.ts'
import { openChallenge } from './challenges.ts'
import { requireCallerOf } from './change-as.ts'
import { completeUsualAttestation } from './complete-usual-attestation.ts'
import { countAppraisal } from './count-appraisal.ts'
import { type Device, getDevice } from './devices.ts'
import type { IssueAttestationResult } from './issue-attestation-result.ts'
import { type AppraisalPolicy, getPolicy } from './policies.ts'
import { quarantineDevice } from './quarantine.ts'
import { requireActiveSession } from './start-attestation.ts'
import { type AppraisedEvidence, storeAttestation } from './store-attestation.ts'
import { isSubmissionSigned, signedBytesOf } from './verify-submission.ts'

export interface CompleteAttestationParts {
  database: Database
  accessTokens: Pick<AccessTokens, 'requireSession'>
  keyring: Keyring
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  issueResult: IssueAttestationResult
  attestationInputs: AttestationInputs
  logger: Logger
  metrics: Metrics
  profile: ProfileName
}

export type CompleteAttestation = (
  caller: SessionCaller,
  attestationId: string,
  submission: AttestationSubmission,
  requestId: string,
) => Promise<AttestationAnswer>

/** What the checks of one submission work with. */
interface Attempt {
  caller: SessionCaller
  device: Device
  challenge: AttestationChallengeRow
  /** The challenge itself. */
  opened: Uint8Array
  submission: AttestationSubmission
  now: number
  requestId: string
}

/**
 * The second step of an attestation (docs/protocol.md §8). What is as usual is done in two round trips (`completeUsualAttestation`);
 * here, under the lock of the device's row, is what becomes of everything else. Under the signature of the identity key a submission spends the challenge,
 * whatever becomes of it then, and evidence that speaks against the device quarantines it. One without it may be anybody's who has
 * an access token of the device: it spends nothing.
 */
export function createCompleteAttestation(parts: CompleteAttestationParts): CompleteAttestation {
  const { crypto } = parts
  return async (caller, attestationId, submission, requestId) => {
    const usual = await completeUsualAttestation(parts, { caller, attestationId, submission, requestId })
    if (usual !== undefined) return usual
    await parts.accessTokens.requireSession(caller)
    const { id: deviceId, organizationId } = caller
    const complete = async (tx: Tx): Promise<AttestationAnswer | ServiceError> => {
      const locked = await lockPrincipal(tx, deviceId)
      const challenge = await findAttestationChallenge(tx, deviceId)
      if (challenge?.id !== attestationId) throw notFound()
      const device = await getDevice(tx, deviceId)
      const now = parts.clock.now()
      // Before it is opened: by then its key may be gone.
      if (now >= challenge.expiresAt) throw challengeExpired()
      const at = { table: 'attestation_challenge', organizationId, ...challenge } as const
      const opened = await openChallenge(parts.keyring, at, challenge.sealedChallenge)
      const signedBytes = signedBytesOf(crypto, { device, challenge, opened }, submission)
      const completionHash = completionHashOf(crypto, signedBytes, submission.signature)
      // Of two at once the second finds what the first one led to, though that ended the session of both.
      if (challenge.consumedAt !== undefined) return repeatAnswer(parts, tx, { device, challenge, completionHash })
      await requireCallerOf(tx, locked, caller, now)
      requireActiveSession(device, caller)
      if (challenge.sessionId !== caller.sessionId) throw challengeExpired()
      const attempt = { caller, device, challenge, opened, submission, now, requestId }
      const isSigned = await isSubmissionSigned(parts, tx, device, signedBytes, submission)
      if (!isSigned) return refuseUnsigned(parts, tx, attempt)
      if (!(await consumeDeviceChallenge(tx, 'attestation_challenge', attestationId, completionHash, now))) {
        throw challengeExpired()
      }
      return attest(parts, tx, attempt)
    }
    const outcome = await parts.database.withOrganization(organizationId, complete, 'prepared')
    if (outcome instanceof ServiceError) throw outcome
    return outcome
  }
}

/** The same answer to the same signed submission; the challenge would still live. */
async function repeatAnswer(
  parts: CompleteAttestationParts,
  tx: Tx,
  repeated: Pick<Attempt, 'device' | 'challenge'> & { completionHash: Uint8Array },
): Promise<AttestationAnswer> {
  const { device, challenge } = repeated
  const { completionHash: first, attestationResultId } = challenge
  const isSame = first !== undefined && parts.crypto.equal(first, repeated.completionHash)
  if (!isSame || attestationResultId === undefined) throw challengeExpired()
  const result = await getAttestation(tx, attestationResultId)
  const next = device.nextAttestationAt === undefined ? undefined : result.appraisedAt + ATTESTATION_INTERVAL_MS
  return toAnswer({ ...device, nextAttestationAt: next }, result)
}

/** Returned, not thrown, so that its event is committed. One event a challenge: more would be a weapon of who has the token. */
async function refuseUnsigned(parts: CompleteAttestationParts, tx: Tx, attempt: Attempt): Promise<ServiceError> {
  const refusal = new ServiceError(
    'attestation_refused',
    'The signature is not that of the identity key of this device over this challenge, session and evidence.',
  )
  if (await markDeviceChallengeMismatched(tx, 'attestation_challenge', attempt.challenge.id, attempt.now)) {
    await insertEvents(tx, [refusalEvent(parts, attempt, 'device.attestation_mismatched', refusal)])
  }
  return refusal
}

/**
 * A refusal is returned, not thrown: that the challenge is spent has to be committed. What cannot be read proves nothing, for the
 * device or against it: nobody is quarantined for it, and who sends nothing else misses its time.
 */
async function attest(
  parts: CompleteAttestationParts,
  tx: Tx,
  attempt: Attempt,
): Promise<AttestationAnswer | ServiceError> {
  try {
    const policy = await getPolicy(parts, tx, attempt.device.policyId)
    return await storeResult(parts, tx, attempt, { policy, appraised: await appraise(parts, tx, attempt, policy) })
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    await insertEvents(tx, [refusalEvent(parts, attempt, 'device.attestation_refused', error)])
    return error
  }
}

/** Throws `malformed`, or `evidence_refused` for attesters that are not this device's to have. */
async function appraise(
  parts: CompleteAttestationParts,
  tx: Tx,
  { device, challenge, opened, submission, now }: Attempt,
  policy: AppraisalPolicy,
): Promise<AppraisedEvidence> {
  const { evidence } = submission
  const { sessionId } = challenge
  const binding = attestationBinding(parts.crypto, { challenge: opened, ...device.identityKey, sessionId })
  const attesters = await readAttesters(parts.keyring, tx, device.id)
  requireActivated(policy.document, attesters)
  const appraisal = await appraiseEvidence(parts.attestationInputs, tx, {
    organizationId: device.organizationId,
    policy,
    evidence,
    binding,
    identityKey: device.identityKey.publicKey,
    now,
    expectedAttester: (format) => expectedAttester(attesters, format),
  })
  countAppraisal(parts.metrics, appraisal)
  await claimAttesters(tx, appraisal, attesters)
  return { evidence, binding, attesters, sessionId, appraisal }
}

async function storeResult(
  parts: CompleteAttestationParts,
  tx: Tx,
  attempt: Attempt,
  { policy, appraised }: { policy: AppraisalPolicy; appraised: AppraisedEvidence },
): Promise<AttestationAnswer> {
  const { caller, device, challenge, now, requestId } = attempt
  const { id: principalId, organizationId } = device
  const { appraisal } = appraised
  const result = await storeAttestation(parts, tx, { ...device, principalId }, appraised, now)
  const { kid } = device.identityKey
  const attested = attestedEvent(parts.writeEvent, { caller, kid, requestId }, result, now)
  if (appraisal.tier === 'contraindicated') {
    await nameChallengeResult(tx, 'attestation_challenge', challenge.id, result.id)
    const actor = { organizationId, principal: device, requestId }
    const because = { attestationId: result.id, appraisal }
    await insertEvents(tx, [attested, ...(await quarantineDevice(parts.writeEvent, tx, actor, because, now))])
    return toAnswer({ id: principalId, status: 'QUARANTINED', nextAttestationAt: undefined }, result)
  }
  const next = nextAttestationAt(policy.document, now)
  const marks = { challengeId: challenge.id, attestationResultId: result.id, nextAttestationAt: next }
  await markPrincipalAttested(tx, principalId, marks)
  await insertEvents(tx, [attested])
  return toAnswer({ ...device, nextAttestationAt: next }, result)
}

/** Of one without the signature nobody knows whose it is: the service tells of it. */
function refusalEvent(
  parts: CompleteAttestationParts,
  attempt: Attempt,
  type: 'device.attestation_refused' | 'device.attestation_mismatched',
  { code }: ServiceError,
): LoggedEvent {
  const { caller, challenge, requestId, now } = attempt
  const { organizationId, id: deviceId } = caller
  const isOwn = type === 'device.attestation_refused'
  const actor = isOwn ? actorOf(caller) : ({ type: 'service', id: NIL_UUID } as const)
  const happening = { type, subject: { deviceId, sessionId: challenge.sessionId }, data: { code } }
  return parts.writeEvent({ organizationId, actor, ...happening, requestId }, now)
}

function notFound(): ServiceError {
  return new ServiceError('not_found', 'There is no such attestation.')
}

function challengeExpired(): ServiceError {
  return new ServiceError(
    'challenge_expired',
    'The challenge was answered or has expired; begin the attestation again.',
  )
}
