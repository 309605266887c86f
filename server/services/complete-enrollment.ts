import type { Database, Tx } from '../../database/open.ts'
import { getFirstAttestation } from '../../database/repositories/attestations.ts'
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
import { encode } from '../../protocol/encoding.ts'
import { attestationBinding, type EnrollmentCompletion } from '../../protocol/enrollment.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WireTrustBundle } from '../../protocol/trust.ts'
import type { Happening, WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import { macIdentityKey } from '../../runtime/custody/identity-key-mac.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { newId } from '../../runtime/ids.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import type { ProfileName } from '../../runtime/profile.ts'
import { ServiceError } from '../errors.ts'
import { type AttestationInputs, appraiseEvidence, requireEnrollingTier } from './appraise-evidence.ts'
import { claimAttesters, type ExpectedAttesters, expectedAttester, findActivatingFormat } from './attesters.ts'
import { openActivation, openChallenge } from './challenges.ts'
import { countAppraisal } from './count-appraisal.ts'
import type { IssueAttestationResult } from './issue-attestation-result.ts'
import { requireNewKey, withDuplicateKeyRefused } from './new-identity-key.ts'
import type { Passes } from './passes.ts'
import { type AppraisalPolicy, getPolicy, requireIdentityAlgorithm } from './policies.ts'
import { requireOpenToken } from './start-enrollment.ts'
import { type AppraisedEvidence, storeAttestation } from './store-attestation.ts'
import { isCompletionSigned, signedBytesOf } from './verify-completion.ts'

export interface CompleteEnrollmentParts {
  database: Database
  keyring: Keyring
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  issueResult: IssueAttestationResult
  attestationInputs: AttestationInputs
  passes: Passes
  metrics: Metrics
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
) => Promise<{ enrolled: EnrolledDevice; pass: string }>

/** What the checks of one completion work with. */
interface Attempt {
  organizationId: string
  token: EnrollmentToken
  stored: EnrollmentChallengeRow
  /** The challenge itself. */
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
        const attempt = {
          organizationId,
          token,
          stored: challenge,
          challenge: opened,
          completion,
          trust,
          now,
          requestId,
        }
        if (!isCompletionSigned(parts.crypto, completion, signedBytes)) return refuseUnsigned(parts, tx, attempt)
        if (!(await consumeChallenge(tx, enrollmentId, completionHash, now))) throw challengeExpired()
        return enrol(parts, tx, attempt)
      }),
    )
    if (outcome instanceof ServiceError) throw outcome
    return { enrolled: outcome, pass: parts.passes.issue({ id: outcome.deviceId, organizationId }) }
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
    const appraised = await appraise(parts, tx, attempt, policy)
    return await storeDevice(parts, tx, attempt, kid, appraised)
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    await insertEvents(tx, [refusalEvent(parts, attempt, 'enrollment.refused', error)])
    return error
  }
}

/** Throws `evidence_refused` for a device that the policy does not let in as what it was found to be, or that is enrolled already. */
async function appraise(
  parts: CompleteEnrollmentParts,
  tx: Tx,
  attempt: Attempt,
  policy: AppraisalPolicy,
): Promise<AppraisedEvidence> {
  const { organizationId, challenge, now } = attempt
  const { identityKey, evidence } = attempt.completion
  const binding = attestationBinding(parts.crypto, { challenge, ...identityKey, sessionId: undefined })
  const attesters = await readActivated(parts.keyring, attempt, policy)
  const appraisal = await appraiseEvidence(parts.attestationInputs, tx, {
    organizationId,
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

/** What the credential step asked of which attester, where the policy has such a step and it was taken. */
async function readActivated(
  keyring: Keyring,
  { organizationId, token, stored }: Attempt,
  { document }: AppraisalPolicy,
): Promise<ExpectedAttesters> {
  const format = findActivatingFormat(document)
  const { sealedActivation, sealedChallenge } = stored
  if (format === undefined || sealedActivation === undefined) return {}
  const at = { organizationId, enrollmentId: token.id, sealedChallenge }
  return { [format.name]: { kind: 'enrolling', activation: await openActivation(keyring, at, sealedActivation) } }
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
  appraised: AppraisedEvidence,
): Promise<EnrolledDevice> {
  const { organizationId, token, completion, now, trust } = attempt
  const { alg, publicKey } = completion.identityKey
  const { kind, name, metadata } = completion
  const { type, capabilities, policyId } = token
  const { appraisal } = appraised
  const id = newId()
  const spiffeId = `spiffe://${parts.trustDomain}/organization/${organizationId}/${kind}/${id}`
  await insertDirectoryEntry(tx, id, organizationId)
  const terms = { type, capabilities, metadata, policyId }
  await insertPrincipal(tx, { id, organizationId, kind, name, status: 'ACTIVE', spiffeId, ...terms, createdAt: now })
  const identity = { organizationId, principalId: id, kid, alg, publicKey }
  const { mac, version: macKeyVersion } = macIdentityKey(parts.keyring, identity)
  await insertIdentityKey(tx, { ...identity, mac, macKeyVersion }, now)
  await markEnrollmentTokenUsed(tx, token.id, id, now)
  await nameChallengePrincipal(tx, token.id, id)
  const device = { organizationId, principalId: id, spiffeId, identityKey: { kid, alg, publicKey } }
  const attestation = await storeAttestation(parts, tx, device, appraised, now)
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
