import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import {
  type EnrollmentChallengeRow,
  findEnrollmentChallenge,
  keepActivation,
  spendCredentialAttempt,
} from '../../database/repositories/challenges.ts'
import { findOrganizationOf } from '../../database/repositories/directory.ts'
import { type EnrollmentToken, lockEnrollmentToken } from '../../database/repositories/enrollment-tokens.ts'
import type { CredentialRequest } from '../../protocol/attestation/evidence-format.ts'
import type { CredentialAnswer } from '../../protocol/attestation/messages.ts'
import type { Json } from '../../protocol/encoding.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { Happening, WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import type { ProfileName } from '../../runtime/profile.ts'
import { ServiceError } from '../errors.ts'
import type { AttestationInputs } from './appraise-evidence.ts'
import { type ActivatingFormat, findActivatingFormat } from './attesters.ts'
import { sealActivation } from './challenges.ts'
import { getPolicy } from './policies.ts'
import { requireOpenToken } from './start-enrollment.ts'

export interface GiveCredentialParts {
  database: Database
  keyring: Keyring
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  attestationInputs: AttestationInputs
  profile: ProfileName
}

export type GiveCredential = (
  enrollmentId: string,
  request: Record<string, Json>,
  requestId: string,
) => Promise<CredentialAnswer>

/** What the steps of one request work with. */
interface Attempt {
  organizationId: string
  token: EnrollmentToken
  challenge: EnrollmentChallengeRow
  policyId: string
  format: ActivatingFormat
  now: number
  requestId: string
}

/**
 * The step between the two of docs/protocol.md §3 where keys have to be activated: a secret that only the attester with these keys
 * can open. One attempt a challenge, spent before the request is read: who guesses begins the enrolment again each time.
 */
export function createGiveCredential(parts: GiveCredentialParts): GiveCredential {
  return async (enrollmentId, request, requestId) => {
    const { database } = parts
    const organizationId = await database.withoutOrganization((tx) => findOrganizationOf(tx, enrollmentId))
    if (organizationId === undefined) throw notFound()
    const outcome = await database.withOrganization(organizationId, async (tx) => {
      const token = await lockEnrollmentToken(tx, enrollmentId)
      const challenge = await findEnrollmentChallenge(tx, enrollmentId)
      if (token === undefined || challenge === undefined) throw notFound()
      const now = parts.clock.now()
      requireOpenToken(token, now)
      const policy = await getPolicy(parts, tx, token.policyId)
      const format = findActivatingFormat(policy.document)
      if (format === undefined) {
        throw new ServiceError('malformed', `Policy ${policy.id} asks for no keys to be activated.`)
      }
      if (!(await spendCredentialAttempt(tx, enrollmentId, now))) throw challengeExpired()
      return give(parts, tx, { organizationId, token, challenge, policyId: policy.id, format, now, requestId }, request)
    })
    if (outcome instanceof ServiceError) throw outcome
    return outcome
  }
}

/** A refusal is returned, not thrown: that the attempt is spent has to be committed. */
async function give(
  parts: GiveCredentialParts,
  tx: Tx,
  attempt: Attempt,
  request: Record<string, Json>,
): Promise<CredentialAnswer | ServiceError> {
  const { organizationId, token, challenge, policyId, format, now } = attempt
  const subject = { enrollmentTokenId: token.id }
  try {
    const parsed = asRequest(() => format.parse(request))
    const wanted = { organizationId, format: format.name, lookupIds: parsed.trustAnchorIds, at: now }
    const anchors = await parts.attestationInputs.findTrustAnchors(tx, wanted)
    const { answer, activation } = makeCredential(parts.crypto, parsed, anchors, now)
    const at = { organizationId, enrollmentId: token.id, sealedChallenge: challenge.sealedChallenge }
    await keepActivation(tx, token.id, sealActivation(parts.keyring, at, activation))
    activation.secret.fill(0)
    const data = { format: format.name, policyId }
    await insertEvents(tx, [toEvent(parts, attempt, { type: 'enrollment.credential_given', subject, data })])
    return answer
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    const data = { code: error.code }
    await insertEvents(tx, [toEvent(parts, attempt, { type: 'enrollment.credential_refused', subject, data })])
    return error
  }
}

/** Throws `evidence_refused`, naming the check. */
function makeCredential(
  crypto: Primitives,
  request: CredentialRequest,
  anchors: Parameters<CredentialRequest['challenge']>[0],
  now: number,
): ReturnType<CredentialRequest['challenge']> {
  return asRequest(() => request.challenge(anchors, { now, random: (length) => crypto.randomBytes(length) }))
}

/** What is refused for what it holds. */
function asRequest<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    const isRefused = error.code === 'evidence_refused'
    const check = error.check === undefined ? '' : ` (${error.check})`
    throw new ServiceError(isRefused ? 'evidence_refused' : 'malformed', `${error.message}${check}`, { cause: error })
  }
}

function toEvent(
  parts: GiveCredentialParts,
  { organizationId, token, requestId, now }: Attempt,
  happening: Happening<'enrollment.credential_given' | 'enrollment.credential_refused'>,
) {
  const actor = { type: 'enrollment_token', id: token.id } as const
  return parts.writeEvent({ organizationId, actor, ...happening, requestId }, now)
}

function notFound(): ServiceError {
  return new ServiceError('not_found', 'There is no such enrolment.')
}

function challengeExpired(): ServiceError {
  return new ServiceError(
    'challenge_expired',
    'A credential was asked for, or the challenge was answered or has expired; begin the enrolment again.',
  )
}
