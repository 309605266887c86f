// The part of independent-client.js that replaces the identity key: docs/protocol.md §8 and docs/api.md, Rotating a key.
import crypto from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'

/** The device with its new key; `tools` are those of the client. */
export async function rotate(tools, device, alg, bearer) {
  const { E, uuid, b64, unb64, keyPair, kidOf, Sign, call, shape, checked } = tools
  const path = `/v1/devices/${device.id}/rotate-identity`
  const begin = () => call('POST', path, { body: {}, bearer, expect: 201 })
  const { data: begun } = await begin()
  shape(begun, 'challengeId challenge expiresAt policy', 'the begun rotation')
  shape(begun.policy, 'evidence identityAlgorithms', 'the policy of the rotation')
  checked(isDeepStrictEqual((await begin()).data, begun), 'a challenge that can be answered is given again')

  const seed = crypto.randomBytes(32)
  const { key, publicKey } = keyPair(alg, seed)
  const kid = kidOf(alg, publicKey)
  const challenge = unb64(begun.challenge, 32, 'the challenge of the rotation')
  const signed = E('QFLARE-v1 rotate', uuid(device.id), device.kid, alg, publicKey, challenge)
  const [oldSignature, newSignature] = [device.key, key].map((by) => b64(Sign(by, signed, 'QFLARE-v1 rotate')))
  const identityKey = { alg, publicKey: b64(publicKey) }
  const body = { identityKey, evidence: [{ format: 'none' }], oldSignature, newSignature }
  const complete = () => call('POST', `${path}/${begun.challengeId}`, { body })
  const { data: answer } = await complete()
  shape(answer, 'deviceId spiffeId status identityKey attestation', 'the rotation')
  shape(answer.attestation, 'id tier policyId appraisedAt expiresAt ear', 'the attestation of the rotation')
  checked(isDeepStrictEqual(answer.identityKey, { kid, alg }), 'the device has the new key')
  checked(answer.deviceId === device.id && answer.spiffeId === device.answer.spiffeId, 'and is the same device')
  checked(isDeepStrictEqual((await complete()).data, answer), 'the same rotation, the same answer')
  const { data: ended } = await call('POST', path, { body: {}, bearer, expect: 401 })
  checked(ended.code === 'unauthenticated', 'the sessions of the device have ended')
  return { ...device, seed, key, kid }
}
