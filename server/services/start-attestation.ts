import type { Database } from '../../database/open.ts'
import {
  type AttestingParty,
  findAttestingParty,
  giveAttestationChallenge,
} from '../../database/repositories/reattestations.ts'
import type { AttestationChallenge } from '../../protocol/attestation/messages.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { newId } from '../../runtime/ids.ts'
import type { ProfileName } from '../../runtime/profile.ts'
import { actorOf, type SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import type { AccessTokens } from './access-tokens.ts'
import { isInActiveSession, policyOf } from './attesting-party.ts'
import { CHALLENGE_MS, openChallenge, sealChallenge } from './challenges.ts'
import type { Device } from './devices.ts'
import { toDevicePolicy } from './policies.ts'
import { retryOnConflict } from './retry-on-conflict.ts'

export interface StartAttestationParts {
  database: Database
  accessTokens: Pick<AccessTokens, 'requireSession'>
  keyring: Keyring
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  profile: ProfileName
}

export type StartAttestation = (caller: SessionCaller, requestId: string) => Promise<AttestationChallenge>

/**
 * The challenge under which a device attests for the session that it asks with (docs/protocol.md §8). One that can still be answered
 * is given again. Throws `session_state` where a newer session took over.
 */
export function createStartAttestation(parts: StartAttestationParts): StartAttestation {
  return (caller, requestId) => retryOnConflict(() => start(parts, caller, requestId))
}

async function start(
  parts: StartAttestationParts,
  caller: SessionCaller,
  requestId: string,
): Promise<AttestationChallenge> {
  const now = parts.clock.now()
  const read = await findAttestingParty(parts.database, caller)
  if (read === undefined || !isInActiveSession(read, caller, now)) throw await whyNot(parts, caller)
  const { evidence } = toDevicePolicy(await policyOf(parts, read))
  const { organizationId, sessionId } = caller
  const open = await openUnanswered(parts, read, caller, now)
  if (open !== undefined) return { ...open, sessionId, evidence }

  const attestationId = newId()
  const challenge = parts.crypto.randomBytes(32)
  const expiresAt = now + CHALLENGE_MS
  const holder = { id: attestationId, principalId: caller.id, sessionId }
  const at = { table: 'attestation_challenge', organizationId, ...holder } as const
  const sealedChallenge = sealChallenge(parts.keyring, at, challenge)
  const event = parts.writeEvent(
    {
      organizationId,
      actor: actorOf(caller),
      type: 'device.attestation_challenged',
      subject: { deviceId: caller.id, sessionId },
      data: { expiresAt },
      requestId,
    },
    now,
  )
  const given = { challenge: { ...holder, sealedChallenge, expiresAt }, events: [event] }
  await giveAttestationChallenge(parts.database, read, given)
  return { attestationId, challenge, expiresAt, sessionId, evidence }
}

/** Either the caller is nobody any more, or a newer session took over from its own. */
async function whyNot({ accessTokens }: StartAttestationParts, caller: SessionCaller): Promise<ServiceError> {
  await accessTokens.requireSession(caller)
  return anotherSession()
}

/** Results are of the session that is; one that a newer one took over from has no more use for them. Throws `session_state`. */
export function requireActiveSession(
  { activeSessionId }: Pick<Device, 'activeSessionId'>,
  { sessionId }: SessionCaller,
): void {
  if (activeSessionId === sessionId) return
  throw anotherSession()
}

function anotherSession(): ServiceError {
  return new ServiceError('session_state', 'The session is not the ACTIVE one of this device; use the newer one.')
}

async function openUnanswered(
  parts: StartAttestationParts,
  { challenge: last }: AttestingParty,
  { organizationId, sessionId }: SessionCaller,
  now: number,
): Promise<Pick<AttestationChallenge, 'attestationId' | 'challenge' | 'expiresAt'> | undefined> {
  if (last === undefined || last.consumedAt !== undefined || last.sessionId !== sessionId || now >= last.expiresAt) {
    return undefined
  }
  const at = { table: 'attestation_challenge', organizationId, ...last } as const
  const challenge = await openChallenge(parts.keyring, at, last.sealedChallenge)
  return { attestationId: last.id, challenge, expiresAt: last.expiresAt }
}
