import { z } from 'zod'
import { attestationBinding } from '../protocol/enrollment.ts'
import { hedgeIdentitySeed } from '../protocol/hedge.ts'
import {
  type RotationChallenge,
  rotationAnswer,
  rotationBytes,
  rotationChallenge,
  rotationCompletion,
} from '../protocol/identity-rotation.ts'
import { keyId } from '../protocol/key-id.ts'
import type { Primitives } from '../protocol/primitives.ts'
import { type SignatureAlgorithm, signatureContexts } from '../protocol/suites.ts'
import { chooseAttesters, collectEvidence } from './attester.ts'
import { chooseAlgorithm } from './choose-algorithm.ts'
import type { DeviceParts } from './device-parts.ts'
import { type DeviceState, getDeviceState, type NextIdentity, updateDeviceState } from './device-state.ts'
import { QflareError } from './errors.ts'
import { exchangeKeys } from './exchange-keys.ts'
import { getAccessToken } from './renew-token.ts'

/** A challenge may expire, or be answered by another process of the device, while this one makes its key. */
const MAX_CHALLENGES = 3

/**
 * Replaces the identity key (docs/protocol.md §8). The new key is stored before the server hears of it, and stays beside the old
 * one until an exchange under it succeeds: no answer is believed before, so that a crash, a lost answer or one that is not the
 * server's leaves the device with the key that the server has. Throws `QflareError`, or the `ProtocolError` of a check that failed.
 */
export async function rotateIdentity(parts: DeviceParts, alg: SignatureAlgorithm | undefined): Promise<void> {
  const { identity: old } = await getDeviceState(parts.store)
  const isReplaced = async () => {
    const { identity } = await getDeviceState(parts.store)
    return !parts.crypto.equal(identity.seed, old.seed)
  }
  // It makes the session that a rotation needs, and ends one that was cut off.
  await exchangeKeys(parts)
  for (let challenges = 1; !(await isReplaced()); challenges++) {
    if (challenges > MAX_CHALLENGES) {
      throw new QflareError('bad_answer', 'The server says that the identity key is replaced, and takes the old one.')
    }
    const challenge = await askForChallenge(parts)
    const next = await prepareNextIdentity(parts, challenge, alg)
    try {
      await complete(parts, next, challenge)
    } catch (error) {
      if (!(error instanceof QflareError) || error.code !== 'challenge_expired') throw error
    }
    await exchangeKeys(parts, 'nextIdentity')
  }
  old.seed.fill(0)
}

/** The same challenge again, as long as it can be answered. */
async function askForChallenge(parts: DeviceParts): Promise<RotationChallenge> {
  const { deviceId } = await getDeviceState(parts.store)
  const bearer = await getAccessToken(parts)
  const path = `/v1/devices/${deviceId}/rotate-identity`
  return parts.http.post(path, {}, rotationChallenge, { bearer, repeatable: true })
}

/**
 * Stores the next key with its signed completion. What was stored for this challenge before stays as it is; a key that was stored
 * for another one is used again, so that however many completions are under way, they bring one key.
 */
async function prepareNextIdentity(
  parts: DeviceParts,
  challenge: RotationChallenge,
  wantedAlg: SignatureAlgorithm | undefined,
): Promise<NextIdentity> {
  const { crypto } = parts
  const { identityAlgorithms } = challenge.policy
  const { nextIdentity } = await updateDeviceState(parts.store, (state) => {
    const { identity, nextIdentity: kept } = state
    if (kept?.challengeId === challenge.challengeId) return state
    const isTaken = identityAlgorithms.includes(identity.alg)
    const alg = chooseAlgorithm(challenge.policy, wantedAlg ?? (isTaken ? identity.alg : undefined))
    const seed = kept?.alg === alg ? kept.seed : hedgeIdentitySeed(crypto, identity.seed)
    return { ...state, nextIdentity: signNextIdentity(crypto, state, challenge, { alg, seed }) }
  })
  return nextIdentity as NextIdentity
}

function signNextIdentity(
  crypto: Primitives,
  { deviceId, identity }: DeviceState,
  { challengeId, challenge }: RotationChallenge,
  { alg, seed }: Pick<NextIdentity, 'alg' | 'seed'>,
): NextIdentity {
  const oldKey = crypto.importSigningKey(identity.alg, identity.seed)
  const newKey = crypto.importSigningKey(alg, seed)
  const { publicKey } = newKey
  const oldKid = keyId(crypto, identity.alg, oldKey.publicKey)
  const signed = rotationBytes({ deviceId, oldKid, alg, publicKey, challenge })
  return {
    kid: keyId(crypto, alg, publicKey),
    alg,
    seed,
    challengeId,
    oldSignature: oldKey.sign(signed, signatureContexts.rotate),
    newSignature: newKey.sign(signed, signatureContexts.rotate),
  }
}

/** Its evidence is made anew each time; where the server has another of this challenge, an exchange tells which key it took. */
async function complete(
  parts: DeviceParts,
  next: NextIdentity,
  { challenge, policy }: RotationChallenge,
): Promise<void> {
  const { http, crypto, store } = parts
  const { deviceId } = await getDeviceState(store)
  const { kid, alg, challengeId, oldSignature, newSignature } = next
  const { publicKey } = crypto.importSigningKey(alg, next.seed)
  const identityKey = { alg, publicKey }
  const attesters = chooseAttesters(policy.evidence, parts.attesters)
  const binding = attestationBinding(crypto, { challenge, ...identityKey, sessionId: undefined })
  const evidence = await collectEvidence(attesters, binding)
  const message = z.encode(rotationCompletion, { identityKey, evidence, oldSignature, newSignature })
  const path = `/v1/devices/${deviceId}/rotate-identity/${challengeId}`
  const answer = await http.post(path, message, rotationAnswer, { repeatable: true }).catch(async (error: unknown) => {
    if (error instanceof QflareError && error.code === 'key_invalid') await forget(parts, kid)
    throw error
  })
  if (answer.deviceId !== deviceId || answer.identityKey.kid !== kid) {
    throw new QflareError('bad_answer', 'The server speaks of another device or key than the one that was asked for.')
  }
}

/** A key that the server does not take: the next rotation makes another. */
async function forget(parts: Pick<DeviceParts, 'store'>, kid: string): Promise<void> {
  await updateDeviceState(parts.store, (state) => {
    const { nextIdentity, ...rest } = state
    return nextIdentity?.kid === kid ? rest : state
  })
}
