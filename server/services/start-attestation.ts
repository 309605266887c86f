import type { Database, Tx } from '../../database/open.ts'
import {
  findAttestationChallenge,
  replaceAttestationChallenge,
} from '../../database/repositories/attestation-challenges.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import type { AttestationChallenge } from '../../protocol/attestation/messages.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { newId } from '../../runtime/ids.ts'
import type { ProfileName } from '../../runtime/profile.ts'
import { actorOf, type SessionCaller } from '../caller.ts'
import { ServiceError } from '../errors.ts'
import { CHALLENGE_MS, openChallenge, sealChallenge } from './challenges.ts'
import { requireCaller } from './change-as.ts'
import { type Device, getDevice } from './devices.ts'
import { getPolicy, toDevicePolicy } from './policies.ts'

export interface StartAttestationParts {
  database: Database
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
  return (caller, requestId) => {
    const start = async (tx: Tx): Promise<AttestationChallenge> => {
      const now = parts.clock.now()
      await requireCaller(tx, caller, now)
      const device = await getDevice(tx, caller.id)
      requireActiveSession(device, caller)
      const { evidence } = toDevicePolicy(await getPolicy(parts, tx, device.policyId))
      const { organizationId, sessionId } = caller
      const open = await findOpenChallenge(parts, tx, caller, now)
      if (open !== undefined) return { ...open, sessionId, evidence }

      const attestationId = newId()
      const challenge = parts.crypto.randomBytes(32)
      const expiresAt = now + CHALLENGE_MS
      const holder = { id: attestationId, principalId: caller.id, sessionId }
      const at = { table: 'attestation_challenge', organizationId, ...holder } as const
      const sealedChallenge = sealChallenge(parts.keyring, at, challenge)
      await replaceAttestationChallenge(tx, organizationId, { ...holder, sealedChallenge, expiresAt })
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
      await insertEvents(tx, [event])
      return { attestationId, challenge, expiresAt, sessionId, evidence }
    }
    return parts.database.withOrganization(caller.organizationId, start, 'prepared')
  }
}

/** Results are of the session that is; one that a newer one took over from has no more use for them. Throws `session_state`. */
export function requireActiveSession({ activeSessionId }: Device, { sessionId }: SessionCaller): void {
  if (activeSessionId === sessionId) return
  throw new ServiceError('session_state', 'The session is not the ACTIVE one of this device; use the newer one.')
}

async function findOpenChallenge(
  parts: StartAttestationParts,
  tx: Tx,
  { id, organizationId, sessionId }: SessionCaller,
  now: number,
): Promise<Pick<AttestationChallenge, 'attestationId' | 'challenge' | 'expiresAt'> | undefined> {
  const last = await findAttestationChallenge(tx, id)
  if (last === undefined || last.consumedAt !== undefined || last.sessionId !== sessionId || now >= last.expiresAt) {
    return undefined
  }
  const at = { table: 'attestation_challenge', organizationId, ...last } as const
  const challenge = await openChallenge(parts.keyring, at, last.sealedChallenge)
  return { attestationId: last.id, challenge, expiresAt: last.expiresAt }
}
