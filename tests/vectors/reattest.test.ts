import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { reattestationBytes } from '../../protocol/attestation/messages.ts'
import { fromBase64url, type Json, toBase64url } from '../../protocol/encoding.ts'
import { attestationBinding, evidenceDigest } from '../../protocol/enrollment.ts'
import { keyId } from '../../protocol/key-id.ts'
import { type SignatureAlgorithm, signatureContexts } from '../../protocol/suites.ts'
import { providers } from '../support/protocol-providers.ts'

/** tests/vectors/qflare/reattest-v1.json, made by a program that shares no code with the repository. */
interface ReattestVectors {
  cases: (Record<
    'deviceId' | 'sessionId' | 'seed' | 'kid' | 'challenge' | 'binding' | 'evidenceDigest' | 'bytesHash' | 'signature',
    string
  > & { alg: SignatureAlgorithm; evidence: Json })[]
}

const path = new URL('qflare/reattest-v1.json', import.meta.url)
const { cases } = JSON.parse(readFileSync(path, 'utf8')) as ReattestVectors

it('the vector file has its cases', () => {
  expect(cases.map(({ alg }) => alg)).toEqual(['ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'])
})

describe.each(providers)('$provider', (crypto) => {
  it.each(cases)('binds evidence to a session, and signs it, with a key of $alg', (vector) => {
    const { deviceId, sessionId, alg, kid } = vector
    const key = crypto.importSigningKey(alg, fromBase64url(vector.seed, 32))
    const { publicKey } = key
    expect(keyId(crypto, alg, publicKey)).toBe(kid)
    const challenge = fromBase64url(vector.challenge, 32)
    const binding = attestationBinding(crypto, { challenge, alg, publicKey, sessionId })
    const digest = evidenceDigest(crypto, vector.evidence)
    expect([toBase64url(binding), toBase64url(digest)]).toEqual([vector.binding, vector.evidenceDigest])
    const signed = reattestationBytes({ deviceId, kid, sessionId, challenge, evidenceDigest: digest })
    expect(toBase64url(crypto.hash512(signed))).toBe(vector.bytesHash)
    const verifier = crypto.importVerificationKey(alg, publicKey)
    expect(verifier.verify(signed, signatureContexts.reattest, fromBase64url(vector.signature))).toBe(true)
    expect(verifier.verify(signed, signatureContexts.rotate, fromBase64url(vector.signature))).toBe(false)
  })
})
