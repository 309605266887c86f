import { z } from 'zod'
import {
  type AttestationAnswer,
  attestationAnswer,
  attestationChallenge,
  attestationStart,
  attestationSubmission,
  reattestationBytes,
} from '../protocol/attestation/messages.ts'
import { attestationBinding, evidenceDigest } from '../protocol/enrollment.ts'
import { keyId } from '../protocol/key-id.ts'
import { signatureContexts } from '../protocol/suites.ts'
import { chooseAttesters, collectEvidence } from './attester.ts'
import { timeOf } from './device-keys.ts'
import type { DeviceParts } from './device-parts.ts'
import { type DeviceSession, type DeviceState, getDeviceState, updateDeviceState } from './device-state.ts'
import { QflareError } from './errors.ts'
import { getAccessToken } from './renew-token.ts'

type AttestingParts = Pick<DeviceParts, 'http' | 'crypto' | 'store' | 'now' | 'attesters'>

/** A challenge may be answered by another process of the device, or expire, while this one makes its evidence. */
const MAX_CHALLENGES = 2

/**
 * Evidence for the session that is (docs/protocol.md §8), and what the server found, stored. A device that is quarantined for it has
 * no session any more: the server ended it. Throws `no_session`, `policy_refused`, and what an attester throws.
 */
export async function attest(parts: AttestingParts): Promise<AttestationAnswer> {
  for (let challenges = 1; ; challenges++) {
    try {
      return await attestOnce(parts)
    } catch (error) {
      const isSpent = error instanceof QflareError && error.code === 'challenge_expired'
      if (!isSpent || challenges === MAX_CHALLENGES) throw error
    }
  }
}

async function attestOnce(parts: AttestingParts): Promise<AttestationAnswer> {
  const { http, crypto, store } = parts
  const bearer = await getAccessToken(parts)
  const { deviceId, identity, session } = await getDeviceState(store)
  const start = z.encode(attestationStart, {})
  const asked = await http.post('/v1/attestations', start, attestationChallenge, { bearer, repeatable: true })
  const { attestationId, challenge, sessionId } = asked
  if (session?.sessionId !== sessionId) {
    throw new QflareError(
      'bad_answer',
      'The server wants evidence for another session than the one that this device has.',
    )
  }
  const key = crypto.importSigningKey(identity.alg, identity.seed)
  identity.seed.fill(0)
  session.chain.fill(0)
  const attesters = chooseAttesters(asked.evidence, parts.attesters)
  const { alg, publicKey } = key
  const evidence = await collectEvidence(
    attesters,
    attestationBinding(crypto, { challenge, alg, publicKey, sessionId }),
  )
  const signed = reattestationBytes({
    deviceId,
    kid: keyId(crypto, alg, publicKey),
    sessionId,
    challenge,
    evidenceDigest: evidenceDigest(crypto, evidence),
  })
  const signature = key.sign(signed, signatureContexts.reattest)
  const message = z.encode(attestationSubmission, { evidence, signature })
  const answer = await http.post(`/v1/attestations/${attestationId}`, message, attestationAnswer, {
    bearer,
    repeatable: true,
  })
  await updateDeviceState(store, (state) => withAttestation(crypto, state, sessionId, answer))
  return answer
}

function withAttestation(
  crypto: DeviceParts['crypto'],
  state: DeviceState,
  sessionId: string,
  { status, attestation, nextAttestationAt }: AttestationAnswer,
): DeviceState {
  const { tier, policyId, appraisedAt, expiresAt } = attestation
  const next =
    nextAttestationAt === undefined
      ? {}
      : { nextAttestationAt, attestAt: dueAt(crypto.randomBytes(1), appraisedAt, nextAttestationAt) }
  const { session, ...rest } = state
  const isEnded = status !== 'ACTIVE' && session?.sessionId === sessionId
  return {
    ...rest,
    ...(session === undefined || isEnded ? {} : { session }),
    attestation: { status, tier, policyId, sessionId, appraisedAt, expiresAt, ...next },
  }
}

/** Before the server misses it: when 80 to 95 % of the time has passed, so that a fleet does not come as one. */
function dueAt([random = 0]: Uint8Array, appraisedAt: number, nextAttestationAt: number): number {
  const share = 0.8 + 0.15 * (random / 255)
  return Math.round(appraisedAt + Math.max(0, nextAttestationAt - appraisedAt) * share)
}

/**
 * 0: now, because the server said so, or because nothing is known of this session and there is something to say.
 * Undefined: the policy asks for nothing. `deviceNow` is the device's own clock.
 */
export function untilAttestationMs(
  { session, attestation }: { session: DeviceSession; attestation: DeviceState['attestation'] },
  hasAttesters: boolean,
  deviceNow: number,
): number | undefined {
  const isOfSession = attestation?.sessionId === session.sessionId
  if (!isOfSession) return hasAttesters || attestation?.attestAt !== undefined ? 0 : undefined
  return attestation.attestAt === undefined ? undefined : Math.max(0, attestation.attestAt - timeOf(session, deviceNow))
}
