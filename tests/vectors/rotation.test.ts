import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { fromBase64url, toBase64url } from '../../protocol/encoding.ts'
import { rotationBytes } from '../../protocol/identity-rotation.ts'
import { keyId } from '../../protocol/key-id.ts'
import { type SignatureAlgorithm, signatureContexts } from '../../protocol/suites.ts'
import { providers } from '../support/protocol-providers.ts'

/** tests/vectors/qflare/rotation-v1.json, made by a program that shares no code with the repository. */
interface RotationVectors {
  cases: (Record<
    'deviceId' | 'oldSeed' | 'oldKid' | 'newSeed' | 'kid' | 'challenge' | 'bytesHash' | 'oldSignature' | 'newSignature',
    string
  > & { oldAlg: SignatureAlgorithm; alg: SignatureAlgorithm })[]
}

const path = new URL('qflare/rotation-v1.json', import.meta.url)
const { cases } = JSON.parse(readFileSync(path, 'utf8')) as RotationVectors

it('the vector file has its cases', () => {
  expect(cases.map(({ oldAlg, alg }) => [oldAlg, alg])).toEqual([
    ['ML-DSA-44', 'ML-DSA-44'],
    ['ML-DSA-44', 'ML-DSA-87'],
    ['ML-DSA-87', 'ML-DSA-65'],
  ])
})

describe.each(providers)('$provider', (crypto) => {
  it.each(cases)('signs and verifies a rotation from $oldAlg to $alg', (vector) => {
    const { deviceId, oldAlg, oldKid, alg, kid } = vector
    const oldKey = crypto.importSigningKey(oldAlg, fromBase64url(vector.oldSeed, 32))
    const newKey = crypto.importSigningKey(alg, fromBase64url(vector.newSeed, 32))
    const { publicKey } = newKey
    expect([keyId(crypto, oldAlg, oldKey.publicKey), keyId(crypto, alg, publicKey)]).toEqual([oldKid, kid])
    const challenge = fromBase64url(vector.challenge, 32)
    const signed = rotationBytes({ deviceId, oldKid, alg, publicKey, challenge })
    expect(toBase64url(crypto.hash512(signed))).toBe(vector.bytesHash)
    for (const [key, signature] of [
      [oldKey, vector.oldSignature],
      [newKey, vector.newSignature],
    ] as const) {
      const verifier = crypto.importVerificationKey(key.alg, key.publicKey)
      expect(verifier.verify(signed, signatureContexts.rotate, fromBase64url(signature))).toBe(true)
      expect(verifier.verify(signed, signatureContexts.rotate, key.sign(signed, signatureContexts.rotate))).toBe(true)
      expect(verifier.verify(signed, signatureContexts.exchange, fromBase64url(signature))).toBe(false)
    }
  })
})
