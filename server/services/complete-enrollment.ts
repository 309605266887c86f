import type { Database, Tx } from '../../database/open.ts'
import { getFirstAttestation, insertAttestation } from '../../database/repositories/attestations.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  consumeChallenge,
  type EnrollmentChallengeRow,
  findEnrollmentChallenge,
  markChallengeMismatched,
  nameChallengePrincipal,
} from '../../database/repositories/challenges.ts'
import { findOrganizationOf, insertDirectoryEntry } from '../../database/repositories/directory.ts'
import {
  type EnrollmentToken,
  lockEnrollmentToken,
  markEnrollmentTokenUsed,
} from '../../database/repositories/enrollment-tokens.ts'
import { insertIdentityKey } from '../../database/repositories/identity-keys.ts'
import { findPrincipal, insertPrincipal } from '../../database/repositories/principals.ts'
import { listTrustBundles } from '../../database/repositories/service-keys.ts'
import { canonicalJson, encode } from '../../protocol/encoding.ts'
import { attestationBinding, type EnrollmentCompletion } from '../../protocol/enrollment.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WireTrustBundle } from '../../protocol/trust.ts'
import type { Happening, WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { macIdentityKey } from '../../runtime/custody/identity-key-mac.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { newId } from '../../runtime/ids.ts'
import type { ProfileName } from '../../runtime/profile.ts'
import { ServiceError } from '../errors.ts'
import { type Appraisal, type AttestationInputs, appraiseEvidence, requireEnrollingTier } from './appraise-evidence.ts'
import { openChallenge } from './challenges.ts'
import type { IssueAttestationResult } from './issue-attestation-result.ts'
import { requireNewKey, withDuplicateKeyRefused } from './new-identity-key.ts'
import { type AppraisalPolicy, getPolicy, requireIdentityAlgorithm } from './policies.ts'
import { requireOpenToken } from './start-enrollment.ts'
import { isCompletionSigned, signedBytesOf } from './verify-completion.ts'

export interface CompleteEnrollmentParts {
  database: Database
  keyring: Keyring
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  issueResult: IssueAttestationResult
  attestationInputs: AttestationInputs
  trustDomain: string
  profile: ProfileName
}

export interface EnrolledDevice {
  deviceId: string
  spiffeId: string
  status: string
  attestation: {
    id: string
    tier: string
    policyId: string
    appraisedAt: number
    expiresAt: number
    ear: string
  }
  trust: WireTrustBundle
}

export type CompleteEnrollment = (
  enrollmentId: string,
  completion: EnrollmentCompletion,
  requestId: string,
) => Promise<EnrolledDevice>

/** What the checks of one completion work with. */
interface Attempt {
  organizationId: string
  token: EnrollmentToken
  challenge: Uint8Array
  completion: EnrollmentCompletion
  trust: WireTrustBundle
  now: number
  requestId: string
}

/**
 * Step 3 of docs/protocol.md §3. A completion that is signed over the challenge spends it, whatever becomes of it then, and a
 * refusal leaves an event that says why. One that is not may be anybody's who knows the id: it spends nothing.
 */
export function createCompleteEnrollment(parts: CompleteEnrollmentParts): CompleteEnrollment {
  return async (enrollmentId, completion, requestId) => {
    const { database } = parts
    const organizationId = await database.withoutOrganization((tx) => findOrganizationOf(tx, enrollmentId))
    if (organizationId === undefined) throw notFound()
    const outcome = await withDuplicateKeyRefused(() =>
      database.withOrganization(organizationId, async (tx) => {
        const token = await lockEnrollmentToken(tx, enrollmentId)
        const challenge = await findEnrollmentChallenge(tx, enrollmentId)
        if (token === undefined || challenge === undefined) throw notFound()
        const now = parts.clock.now()
        // Before it is opened: what sealed a challenge that is over may be gone.
        if (now >= challenge.expiresAt) throw challengeExpired()
        const trust = await getTrustBundle(tx, challenge.trustSequence)
        const at = { table: 'challenge', organizationId, id: enrollmentId } as const
        const opened = await openChallenge(parts.keyring, at, challenge.sealedChallenge)
        const signedBytes = signedBytesOf(parts.crypto, { id: enrollmentId, challenge: opened }, completion, trust)
        const completionHash = parts.crypto.hash256(encode('completion', signedBytes, completion.signature))
        if (challenge.consumedAt !== undefined) return repeatAnswer(parts, tx, challenge, completionHash, trust)
        const attempt = { organizationId, token, challenge: opened, completion, trust, now, requestId }
        if (!isCompletionSigned(parts.crypto, completion, signedBytes)) return refuseUnsigned(parts, tx, attempt)
        if (!(await consumeChallenge(tx, enrollmentId, completionHash, now))) throw challengeExpired()
        return enrol(parts, tx, attempt)
      }),
    )
    if (outcome instanceof ServiceError) throw outcome
    return outcome
  }
}

async function getTrustBundle(tx: Tx, sequence: number): Promise<WireTrustBundle> {
  const [bundle] = await listTrustBundles(tx, sequence - 1, 1)
  if (bundle?.sequence !== sequence) throw new ServiceError('unavailable', `Trust bundle ${sequence} is missing.`)
  return bundle
}

/** The same answer to the same signed completion, as long as the challenge would have lived. */
async function repeatAnswer(
  parts: CompleteEnrollmentParts,
  tx: Tx,
  challenge: EnrollmentChallengeRow,
  completionHash: Uint8Array,
  trust: WireTrustBundle,
): Promise<EnrolledDevice> {
  const { completionHash: first, principalId } = challenge
  const isSame = first !== undefined && parts.crypto.equal(first, completionHash)
  if (!isSame || principalId === undefined) throw challengeExpired()
  const principal = await findPrincipal(tx, principalId)
  if (principal === undefined) throw notFound()
  const { id, tier, policyId, appraisedAt, expiresAt, ear } = await getFirstAttestation(tx, principalId)
  return {
    deviceId: principalId,
    spiffeId: principal.spiffeId,
    status: principal.status,
    attestation: { id, tier, policyId, appraisedAt, expiresAt, ear },
    trust,
  }
}

/** A refusal is returned, not thrown: that the challenge is spent has to be committed. */
async function enrol(parts: CompleteEnrollmentParts, tx: Tx, attempt: Attempt): Promise<EnrolledDevice | ServiceError> {
  const { token, completion, now } = attempt
  try {
    requireOpenToken(token, now)
    requireTokenTerms(token, completion)
    const policy = await getPolicy(parts, tx, token.policyId)
    requireIdentityAlgorithm(policy, completion.identityKey.alg)
    const kid = await requireNewKey(parts.crypto, tx, completion.identityKey)
    const appraisal = await appraise(parts, tx, attempt, policy)
    return await storeDevice(parts, tx, attempt, kid, appraisal)
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    await insertEvents(tx, [refusalEvent(parts, attempt, 'enrollment.refused', error)])
    return error
  }
}

/** Throws `evidence_refused` for a device that the policy does not let in as what it was found to be. */
async function appraise(
  parts: CompleteEnrollmentParts,
  tx: Tx,
  { organizationId, challenge, completion, now }: Attempt,
  policy: AppraisalPolicy,
): Promise<Appraisal> {
  const { identityKey, evidence } = completion
  const appraisal = await appraiseEvidence(parts.attestationInputs, tx, {
    organizationId,
    policy,
    evidence,
    binding: attestationBinding(parts.crypto, { challenge, ...identityKey, sessionId: undefined }),
    now,
    expectedAttester: () => ({ kind: 'enrolling', activation: undefined }),
  })
  requireEnrollingTier(policy, appraisal)
  return appraisal
}

function requireTokenTerms(token: EnrollmentToken, completion: EnrollmentCompletion): void {
  if (completion.kind !== token.kind) {
    throw new ServiceError('kind_mismatch', `The token enrols a ${token.kind}, not a ${completion.kind}.`, {
      field: 'kind',
    })
  }
  if (token.name !== undefined && completion.name !== token.name) {
    throw new ServiceError('kind_mismatch', 'The token enrols under another name.', { field: 'name' })
  }
}

/** Returned, not thrown, so that its event is committed. One event a challenge: more would be a weapon of who knows the id. */
async function refuseUnsigned(parts: CompleteEnrollmentParts, tx: Tx, attempt: Attempt): Promise<ServiceError> {
  const refusal = new ServiceError(
    'trust_mismatch',
    'The signature does not cover this key, challenge, evidence and the trust bundle that this server gave. If the client' +
      ' is right, somebody stands between it and this server.',
  )
  if (await markChallengeMismatched(tx, attempt.token.id, attempt.now)) {
    await insertEvents(tx, [refusalEvent(parts, attempt, 'enrollment.mismatched', refusal)])
  }
  return refusal
}

async function storeDevice(
  parts: CompleteEnrollmentParts,
  tx: Tx,
  attempt: Attempt,
  kid: string,
  appraisal: Appraisal,
): Promise<EnrolledDevice> {
  const { organizationId, token, completion, now, trust } = attempt
  const { alg, publicKey } = completion.identityKey
  const { kind, name, metadata } = completion
  const { type, capabilities } = token
  const id = newId()
  const spiffeId = `spiffe://${parts.trustDomain}/organization/${organizationId}/${kind}/${id}`
  await insertDirectoryEntry(tx, id, organizationId)
  const labels = { type, capabilities, metadata }
  await insertPrincipal(tx, { id, organizationId, kind, name, status: 'ACTIVE', spiffeId, ...labels, createdAt: now })
  const identity = { organizationId, principalId: id, kid, alg, publicKey }
  const { mac, version: macKeyVersion } = macIdentityKey(parts.keyring, identity)
  await insertIdentityKey(tx, { ...identity, mac, macKeyVersion }, now)
  await markEnrollmentTokenUsed(tx, token.id, id, now)
  await nameChallengePrincipal(tx, token.id, id)
  const attestation = await parts.issueResult({ spiffeId, alg, publicKey, appraisal }, now)
  const result = { ...attestation, organizationId, principalId: id, kid }
  await insertAttestation(tx, result, { id: newId(), body: canonicalJson(completion.evidence) })
  const subject = { deviceId: id, enrollmentTokenId: token.id }
  const data = { kind, name, kid, alg, tier: appraisal.tier, policyId: appraisal.policyId }
  await insertEvents(tx, [enrolmentEvent(parts, attempt, { type: 'device.enrolled', subject, data })])
  return { deviceId: id, spiffeId, status: 'ACTIVE', attestation, trust }
}

function refusalEvent(
  parts: CompleteEnrollmentParts,
  attempt: Attempt,
  type: 'enrollment.refused' | 'enrollment.mismatched',
  { code }: ServiceError,
) {
  return enrolmentEvent(parts, attempt, { type, subject: { enrollmentTokenId: attempt.token.id }, data: { code } })
}

function enrolmentEvent(
  parts: CompleteEnrollmentParts,
  attempt: Attempt,
  happening: Happening<'device.enrolled' | 'enrollment.refused' | 'enrollment.mismatched'>,
) {
  const { organizationId, token, requestId, now } = attempt
  const actor = { type: 'enrollment_token', id: token.id } as const
  return parts.writeEvent({ organizationId, actor, ...happening, requestId }, now)
}

function notFound(): ServiceError {
  return new ServiceError('not_found', 'There is no such enrolment.')
}

function challengeExpired(): ServiceError {
  return new ServiceError('challenge_expired', 'The challenge was answered or has expired; begin the enrolment again.')
}
