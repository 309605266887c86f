import type { Json } from '../../protocol/encoding.ts'
import { toBase64url } from '../../protocol/encoding.ts'
import { type RotationChallenge, rotationBytes, rotationChallenge } from '../../protocol/identity-rotation.ts'
import { keyId } from '../../protocol/key-id.ts'
import type { SigningKey } from '../../protocol/primitives.ts'
import { type SignatureContext, signatureContexts } from '../../protocol/suites.ts'
import { type Answer, call, establish, makeIdentity, type TestDevice } from './api.ts'
import { crypto, type TestService } from './service.ts'

/** A challenge for the device, which gets a session for it where `accessToken` is not given. */
export async function startRotation(
  service: TestService,
  device: TestDevice,
  accessToken?: string,
): Promise<RotationChallenge> {
  const token = accessToken ?? (await establish(service, device)).accessToken
  const path = `/v1/devices/${device.deviceId}/rotate-identity`
  const { status, body } = await call(service, 'POST', path, { token, body: {} })
  if (status !== 201) throw new Error(`no challenge: ${JSON.stringify(body)}`)
  return rotationChallenge.parse(body)
}

/** The body of a completion; `wish` makes it wrong. */
export function signRotation(
  device: TestDevice,
  started: Pick<RotationChallenge, 'challenge'>,
  newKey: SigningKey,
  wish: {
    deviceId?: string
    oldKid?: string
    oldSigner?: SigningKey
    newSigner?: SigningKey
    context?: SignatureContext
    evidence?: Json[]
  } = {},
): Record<string, Json> {
  const { oldSigner = device.identityKey, newSigner = newKey, context = signatureContexts.rotate } = wish
  const { alg, publicKey } = newKey
  const signed = rotationBytes({
    deviceId: wish.deviceId ?? device.deviceId,
    oldKid: wish.oldKid ?? kidOf(device.identityKey),
    alg,
    publicKey,
    challenge: started.challenge,
  })
  return {
    identityKey: { alg, publicKey: toBase64url(publicKey) },
    evidence: wish.evidence ?? [{ format: 'none' }],
    oldSignature: toBase64url(oldSigner.sign(signed, context)),
    newSignature: toBase64url(newSigner.sign(signed, context)),
  }
}

export function completeRotation(
  service: Pick<TestService, 'url'>,
  deviceId: string,
  challengeId: string,
  body: unknown,
): Promise<Answer> {
  return call(service, 'POST', `/v1/devices/${deviceId}/rotate-identity/${challengeId}`, { body })
}

/** The device with the new key that it has from then on. */
export async function rotate(service: TestService, device: TestDevice): Promise<TestDevice> {
  const started = await startRotation(service, device)
  const identity = makeIdentity(device.alg)
  const body = signRotation(device, started, identity.identityKey)
  const answer = await completeRotation(service, device.deviceId, started.challengeId, body)
  if (answer.status !== 200) throw new Error(`not rotated: ${JSON.stringify(answer.body)}`)
  return { deviceId: device.deviceId, ...identity }
}

export function kidOf(key: SigningKey): string {
  return keyId(crypto, key.alg, key.publicKey)
}
