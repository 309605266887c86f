import type { Database, Tx } from '../../database/open.ts'
import { getAttestation } from '../../database/repositories/attestations.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  consumeDeviceChallenge,
  markDeviceChallengeMismatched,
  nameChallengeResult,
} from '../../database/repositories/device-challenges.ts'
import { findOrganizationOf } from '../../database/repositories/directory.ts'
import { getIdentityKey, insertIdentityKey, replaceIdentityKey } from '../../database/repositories/identity-keys.ts'
import { lockPrincipal, type Principal } from '../../database/repositories/principals.ts'
import { findRotationChallenge, type RotationChallengeRow } from '../../database/repositories/rotation-challenges.ts'
import { canonicalJson, encode } from '../../protocol/encoding.ts'
import { attestationBinding } from '../../protocol/enrollment.ts'
import type { RotationAnswer, RotationCompletion } from '../../protocol/identity-rotation.ts'
import { keyId } from '../../protocol/key-id.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { LoggedEvent, WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { macIdentityKey } from '../../runtime/custody/identity-key-mac.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { ProfileName } from '../../runtime/profile.ts'
import { ServiceError } from '../errors.ts'
import { type AttestationInputs, appraiseEvidence, requireEnrollingTier } from './appraise-evidence.ts'
import { claimAttesters, expectedAttester, readAttesters, requireActivated } from './attesters.ts'
import { openChallenge } from './challenges.ts'
import { countAppraisal } from './count-appraisal.ts'
import { getDevice } from './devices.ts'
import { endOpenSessions } from './end-open-sessions.ts'
import type { IssueAttestationResult } from './issue-attestation-result.ts'
import { requireNewKey, withDuplicateKeyRefused } from './new-identity-key.ts'
import { type AppraisalPolicy, getPolicy, requireIdentityAlgorithm } from './policies.ts'
import { sessionEvent } from './session-events.ts'
import { type AppraisedEvidence, storeAttestation } from './store-attestation.ts'
import { isSignedByNewKey, isSignedByOldKey, signedBytesOf } from './verify-rotation.ts'

export interface CompleteRotationParts {
  database: Database
  keyring: Keyring
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  issueResult: IssueAttestationResult
  attestationInputs: AttestationInputs
  metrics: Metrics
  profile: ProfileName
}

export type CompleteRotation = (
  named: { deviceId: string; challengeId: string },
  completion: RotationCompletion,
  requestId: string,
) => Promise<RotationAnswer>

/** What the checks of one completion work with. */
interface Attempt {
  principal: Principal
  challenge: RotationChallengeRow
  /** The challenge itself. */
  opened: Uint8Array
  completion: RotationCompletion
  signedBytes: Uint8Array
  now: number
  requestId: string
}

/**
 * The second step of a rotation (docs/protocol.md §8). Nobody asks for a token here: the old key's signature over the challenge
 * says who it is, and the answer can be fetched again when the sessions have ended. Under that signature a completion spends the
 * challenge, whatever becomes of it then; one without it may be anybody's who knows the ids: it spends nothing.
 */
export function createCompleteRotation(parts: CompleteRotationParts): CompleteRotation {
  const { database, crypto } = parts
  return async ({ deviceId, challengeId }, completion, requestId) => {
    const organizationId = await database.withoutOrganization((tx) => findOrganizationOf(tx, deviceId))
    if (organizationId === undefined) throw notFound()
    const outcome = await withDuplicateKeyRefused(() =>
      database.withOrganization(organizationId, async (tx) => {
        const challenge = await lockRotation(tx, deviceId, challengeId)
        const principal = await getDevice(tx, deviceId)
        const now = parts.clock.now()
        // Before it is opened: by then its key may be gone.
        if (now >= challenge.expiresAt) throw challengeExpired()
        const at = { table: 'rotation_challenge', organizationId, id: challengeId } as const
        const opened = await openChallenge(parts.keyring, at, challenge.sealedChallenge)
        const signedBytes = signedBytesOf({ deviceId, oldKid: challenge.oldKid, challenge: opened }, completion)
        const { oldSignature, newSignature, evidence } = completion
        const hashed = encode('rotation', signedBytes, oldSignature, newSignature, canonicalJson(evidence))
        const completionHash = crypto.hash256(hashed)
        if (challenge.consumedAt !== undefined) {
          return repeatAnswer(parts, tx, { principal, challenge, completionHash, completion })
        }
        const attempt = { principal, challenge, opened, completion, signedBytes, now, requestId }
        const oldKey = await getIdentityKey(tx, challenge.oldKid)
        if (!(await isSignedByOldKey(parts, oldKey, signedBytes, oldSignature)))
          return refuseUnsigned(parts, tx, attempt)
        if (!(await consumeDeviceChallenge(tx, 'rotation_challenge', challengeId, completionHash, now)))
          throw challengeExpired()
        return rotate(parts, tx, attempt)
      }),
    )
    if (outcome instanceof ServiceError) throw outcome
    return outcome
  }
}

/** The challenge, and the principal's row. Who does not know the challenge's id does not get as far as the lock. */
async function lockRotation(tx: Tx, deviceId: string, challengeId: string): Promise<RotationChallengeRow> {
  const known = await findRotationChallenge(tx, deviceId)
  if (known?.id !== challengeId) throw notFound()
  await lockPrincipal(tx, deviceId)
  const challenge = await findRotationChallenge(tx, deviceId)
  if (challenge?.id !== challengeId) throw notFound()
  return challenge
}

/** The same answer to the same signed completion; the challenge would still live. */
async function repeatAnswer(
  parts: CompleteRotationParts,
  tx: Tx,
  repeated: Pick<Attempt, 'principal' | 'challenge' | 'completion'> & { completionHash: Uint8Array },
): Promise<RotationAnswer> {
  const { challenge, completion, principal } = repeated
  const { completionHash: first, attestationResultId } = challenge
  const isSame = first !== undefined && parts.crypto.equal(first, repeated.completionHash)
  if (!isSame || attestationResultId === undefined) throw challengeExpired()
  const { alg, publicKey } = completion.identityKey
  const kid = keyId(parts.crypto, alg, publicKey)
  return toAnswer(principal, { kid, alg }, await getAttestation(tx, attestationResultId))
}

/** Returned, not thrown, so that its event is committed. One event a challenge: more would be a weapon of who knows the ids. */
async function refuseUnsigned(parts: CompleteRotationParts, tx: Tx, attempt: Attempt): Promise<ServiceError> {
  const refusal = refused()
  if (await markDeviceChallengeMismatched(tx, 'rotation_challenge', attempt.challenge.id, attempt.now)) {
    await insertEvents(tx, [refusalEvent(parts, attempt, 'device.rotation_mismatched', refusal)])
  }
  return refusal
}

/** A refusal is returned, not thrown: that the challenge is spent has to be committed. */
async function rotate(parts: CompleteRotationParts, tx: Tx, attempt: Attempt): Promise<RotationAnswer | ServiceError> {
  const { principal, completion, signedBytes } = attempt
  try {
    if (principal.status !== 'ACTIVE' || !isSignedByNewKey(parts.crypto, completion, signedBytes)) throw refused()
    const policy = await getPolicy(parts, tx, principal.policyId)
    requireIdentityAlgorithm(policy, completion.identityKey.alg)
    const kid = await requireNewKey(parts.crypto, tx, completion.identityKey)
    const appraised = await appraise(parts, tx, attempt, policy)
    return await storeRotation(parts, tx, attempt, { kid, appraised })
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    await insertEvents(tx, [refusalEvent(parts, attempt, 'device.rotation_refused', error)])
    return error
  }
}

/**
 * Evidence that is bound to the new key (docs/protocol.md §8), of the attester that the device has had. Throws `evidence_refused`. The
 * signatures do not cover it, so that it can refuse, and never quarantine.
 */
async function appraise(
  parts: CompleteRotationParts,
  tx: Tx,
  { principal, opened, completion, now }: Attempt,
  policy: AppraisalPolicy,
): Promise<AppraisedEvidence> {
  const { identityKey, evidence } = completion
  const binding = attestationBinding(parts.crypto, { challenge: opened, ...identityKey, sessionId: undefined })
  const attesters = await readAttesters(parts.keyring, tx, principal.id)
  requireActivated(policy.document, attesters)
  const appraisal = await appraiseEvidence(parts.attestationInputs, tx, {
    organizationId: principal.organizationId,
    policy,
    evidence,
    binding,
    identityKey: identityKey.publicKey,
    now,
    expectedAttester: (format) => expectedAttester(attesters, format),
  })
  countAppraisal(parts.metrics, appraisal)
  requireEnrollingTier(policy, appraisal)
  await claimAttesters(tx, appraisal, attesters)
  return { evidence, binding, attesters, sessionId: undefined, appraisal }
}

async function storeRotation(
  parts: CompleteRotationParts,
  tx: Tx,
  attempt: Attempt,
  { kid, appraised }: { kid: string; appraised: AppraisedEvidence },
): Promise<RotationAnswer> {
  const { principal, challenge, completion, now, requestId } = attempt
  const { id: principalId, organizationId, kind, spiffeId } = principal
  const { alg, publicKey } = completion.identityKey
  const party = { organizationId, principalId, requestId }
  const { revokedIds, ended } = await endOpenSessions(parts.writeEvent, tx, party, now)
  await replaceIdentityKey(tx, { principalId, kid: challenge.oldKid, by: kid }, now)
  const identity = { organizationId, principalId, kid, alg, publicKey }
  const { mac, version: macKeyVersion } = macIdentityKey(parts.keyring, identity)
  await insertIdentityKey(tx, { ...identity, mac, macKeyVersion }, now)
  const device = { organizationId, principalId, spiffeId, identityKey: { kid, alg, publicKey } }
  const attestation = await storeAttestation(parts, tx, device, appraised, now)
  await nameChallengeResult(tx, 'rotation_challenge', challenge.id, attestation.id)
  const { tier, policyId } = appraised.appraisal
  const revoked = { type: 'session.revoked', data: { with: 'identity_key' } } as const
  const rotated = parts.writeEvent(
    {
      organizationId,
      actor: { type: kind, id: principalId },
      type: 'device.identity_rotated',
      subject: { deviceId: principalId },
      data: { oldKid: challenge.oldKid, kid, alg, tier, policyId, sessions: revokedIds.length },
      requestId,
    },
    now,
  )
  const actor = { organizationId, principal, requestId }
  const revocations = revokedIds.map((id) => sessionEvent(parts.writeEvent, actor, revoked, id, now))
  await insertEvents(tx, [...ended, ...revocations, rotated])
  return toAnswer(principal, { kid, alg }, attestation)
}

function toAnswer(
  { id: deviceId, spiffeId, status }: Principal,
  identityKey: RotationAnswer['identityKey'],
  attestation: RotationAnswer['attestation'],
): RotationAnswer {
  const { id, tier, policyId, appraisedAt, expiresAt, ear } = attestation
  return {
    deviceId,
    spiffeId,
    status,
    identityKey,
    attestation: { id, tier, policyId, appraisedAt, expiresAt, ear },
  }
}

/** Of one without the old key's signature nobody knows whose it is: the service tells of it. */
function refusalEvent(
  parts: CompleteRotationParts,
  attempt: Attempt,
  type: 'device.rotation_refused' | 'device.rotation_mismatched',
  { code }: ServiceError,
): LoggedEvent {
  const { principal, challenge, requestId, now } = attempt
  const { organizationId, kind, id } = principal
  const actor = type === 'device.rotation_refused' ? { type: kind, id } : ({ type: 'service', id: NIL_UUID } as const)
  const happening = { type, subject: { deviceId: id }, data: { kid: challenge.oldKid, code } }
  return parts.writeEvent({ organizationId, actor, ...happening, requestId }, now)
}

/** One answer, so that who has no key learns nothing of the device. */
function refused(): ServiceError {
  return new ServiceError('rotation_refused', 'The device, its old key, its new key or a signature is not accepted.')
}

function notFound(): ServiceError {
  return new ServiceError('not_found', 'There is no such rotation.')
}

function challengeExpired(): ServiceError {
  return new ServiceError('challenge_expired', 'The challenge was answered or has expired; begin the rotation again.')
}
