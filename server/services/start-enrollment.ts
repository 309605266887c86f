import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { replaceEnrollmentChallenge } from '../../database/repositories/challenges.ts'
import { findOrganizationOf } from '../../database/repositories/directory.ts'
import { type EnrollmentToken, lockEnrollmentToken } from '../../database/repositories/enrollment-tokens.ts'
import { isUuid } from '../../protocol/encoding.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { SignatureAlgorithm } from '../../protocol/suites.ts'
import type { WireTrustBundle } from '../../protocol/trust.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import type { ProfileName } from '../../runtime/profile.ts'
import { ServiceError } from '../errors.ts'
import { CHALLENGE_MS, sealChallenge } from './challenges.ts'
import { hashCredential } from './credentials.ts'
import { getPolicy, toDevicePolicy } from './policies.ts'
import type { NoteRefusal } from './refusal-tally.ts'

export interface StartEnrollmentParts {
  database: Database
  keyring: Keyring
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  profile: ProfileName
  /** The newest trust bundle. */
  getTrust: () => Promise<WireTrustBundle>
  noteRefusal: NoteRefusal
}

export interface StartedEnrollment {
  enrollmentId: string
  challenge: Uint8Array
  expiresAt: number
  policy: { evidence: readonly string[]; identityAlgorithms: readonly SignatureAlgorithm[] }
  trust: WireTrustBundle
}

/** `token` is `<id>.<secret>`, as it came. */
export type StartEnrollment = (token: string, requestId: string) => Promise<StartedEnrollment>

/** Step 1 of docs/protocol.md §3: each time a new challenge, in the place of the last. */
export function createStartEnrollment(parts: StartEnrollmentParts): StartEnrollment {
  const { crypto, database } = parts
  return async (credential, requestId) => {
    const id = credential.split('.')[0] ?? ''
    const organizationId = isUuid(id)
      ? await database.withoutOrganization((tx) => findOrganizationOf(tx, id))
      : undefined
    if (organizationId === undefined) throw refused()
    const trust = await parts.getTrust()
    return database.withOrganization(organizationId, async (tx) => {
      const now = parts.clock.now()
      const token = await lockEnrollmentToken(tx, id)
      if (token === undefined) throw refused()
      const isRight = crypto.equal(hashCredential(crypto, credential), token.secretHash)
      if (!isRight || !isOpen(token, now)) {
        const ended = token.usedAt === undefined ? 'ended' : 'used'
        parts.noteRefusal.enrollmentToken({ id, organizationId }, isRight ? ended : 'secret')
        throw refused()
      }
      const challenge = crypto.randomBytes(32)
      const expiresAt = now + CHALLENGE_MS
      await replaceEnrollmentChallenge(tx, organizationId, {
        id,
        sealedChallenge: sealChallenge(parts.keyring, { table: 'challenge', organizationId, id }, challenge),
        trustSequence: trust.sequence,
        expiresAt,
      })
      const event = parts.writeEvent(
        {
          organizationId,
          actor: { type: 'enrollment_token', id },
          type: 'enrollment.challenged',
          subject: { enrollmentTokenId: id },
          data: { expiresAt, trustSequence: trust.sequence },
          requestId,
        },
        now,
      )
      await insertEvents(tx, [event])
      const policy = toDevicePolicy(await getPolicy(parts, tx, token.policyId))
      return { enrollmentId: id, challenge, expiresAt, policy, trust }
    })
  }
}

/** Throws `enrollment_refused` unless the token may still enrol somebody. */
export function requireOpenToken(token: EnrollmentToken, now: number): void {
  if (!isOpen(token, now)) throw refused()
}

function isOpen(token: EnrollmentToken, now: number): boolean {
  return token.usedAt === undefined && token.revokedAt === undefined && now < token.expiresAt
}

function refused(): ServiceError {
  return new ServiceError('enrollment_refused', 'The enrolment token is unknown, used, revoked or expired.')
}
