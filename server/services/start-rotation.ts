import type { Database, Tx } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { findRotationChallenge, replaceRotationChallenge } from '../../database/repositories/rotation-challenges.ts'
import type { RotationChallenge } from '../../protocol/identity-rotation.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Keyring } from '../../runtime/custody/keyring.ts'
import { newId } from '../../runtime/ids.ts'
import type { ProfileName } from '../../runtime/profile.ts'
import { actorOf, type SessionCaller } from '../caller.ts'
import { CHALLENGE_MS, openChallenge, sealChallenge } from './challenges.ts'
import { changeAs } from './change-as.ts'
import { getDevice, requireKnown } from './devices.ts'
import { getPolicy, toDevicePolicy } from './policies.ts'

export interface StartRotationParts {
  database: Database
  keyring: Keyring
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  profile: ProfileName
}

export type StartRotation = (caller: SessionCaller, deviceId: string, requestId: string) => Promise<RotationChallenge>

/**
 * The challenge under which a device replaces its identity key (docs/protocol.md §8). One that can still be answered is given
 * again: a second process of the device, or whoever has an access token of it, does not end a rotation that is under way.
 */
export function createStartRotation(parts: StartRotationParts): StartRotation {
  return (caller, deviceId, requestId) => {
    requireKnown(caller, deviceId)
    return changeAs(parts, caller, async (tx, now) => {
      const { identityKey, policyId } = await getDevice(tx, deviceId)
      const policy = toDevicePolicy(await getPolicy(parts, tx, policyId))
      const open = await findOpenChallenge(parts, tx, caller, identityKey.kid, now)
      if (open !== undefined) return { ...open, policy }

      const challengeId = newId()
      const challenge = parts.crypto.randomBytes(32)
      const expiresAt = now + CHALLENGE_MS
      const { organizationId } = caller
      const at = { table: 'rotation_challenge', organizationId, id: challengeId } as const
      const sealedChallenge = sealChallenge(parts.keyring, at, challenge)
      const fresh = { id: challengeId, oldKid: identityKey.kid, sealedChallenge, expiresAt }
      await replaceRotationChallenge(tx, { organizationId, principalId: deviceId }, fresh)
      const event = parts.writeEvent(
        {
          organizationId,
          actor: actorOf(caller),
          type: 'device.rotation_challenged',
          subject: { deviceId },
          data: { kid: identityKey.kid, expiresAt },
          requestId,
        },
        now,
      )
      await insertEvents(tx, [event])
      return { challengeId, challenge, expiresAt, policy }
    })
  }
}

async function findOpenChallenge(
  parts: StartRotationParts,
  tx: Tx,
  { id, organizationId }: SessionCaller,
  kid: string,
  now: number,
): Promise<Omit<RotationChallenge, 'policy'> | undefined> {
  const last = await findRotationChallenge(tx, id)
  if (last === undefined || last.consumedAt !== undefined || last.oldKid !== kid || now >= last.expiresAt) {
    return undefined
  }
  const at = { table: 'rotation_challenge', organizationId, id: last.id } as const
  const challenge = await openChallenge(parts.keyring, at, last.sealedChallenge)
  return { challengeId: last.id, challenge, expiresAt: last.expiresAt }
}
