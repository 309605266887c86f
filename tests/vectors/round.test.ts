import { describe, expect, it } from 'vitest'
import { fromBase64url, toBase64url } from '../../protocol/encoding.ts'
import { communicationKey, roundContext } from '../../protocol/exchange/epochs.ts'
import { verifyJws } from '../../protocol/jws.ts'
import { keyId } from '../../protocol/key-id.ts'
import {
  parseRoundCertificateFile,
  roundCertificateBytes,
  roundCertificateHash,
  roundCommitment,
} from '../../protocol/rounds/round-certificate.ts'
import { openRoundKeys, roundKeysContext } from '../../protocol/rounds/sealed-round-keys.ts'
import { verifyRoundCertificate } from '../../protocol/rounds/verify-round-certificate.ts'
import { providers } from '../support/protocol-providers.ts'
import { roundVectors as vectors } from '../support/protocol-round-vectors.ts'

const { federationId, round, devices, coordinator } = vectors
const file = parseRoundCertificateFile(JSON.stringify(vectors.file))

describe.each(providers)('$provider', (crypto) => {
  const context = roundContext(federationId, round)

  it('derives the key of the round at each device, with the commitment to it', () => {
    expect(toBase64url(context)).toBe(vectors.roundContext)
    for (const { deviceId, sessionId, epoch, ...device } of devices) {
      const named = { sessionId, epoch, purpose: 'round', context } as const
      const key = communicationKey(crypto, fromBase64url(device.chain, 64), named)
      const commitment = roundCommitment(crypto, { deviceId, sessionId, epoch, federationId, round, key })
      expect([toBase64url(key), commitment]).toEqual([device.key, device.commitment])
    }
  })

  it('opens at the coordinator what was sealed for it: the same keys', () => {
    const { sessionId, epoch } = coordinator
    const chain = fromBase64url(coordinator.chain, 64)
    const deriveSealKey = (sealContext: Uint8Array) => {
      expect(toBase64url(sealContext)).toBe(vectors.sealContext)
      const key = communicationKey(crypto, chain, { sessionId, epoch, purpose: 'seal', context: sealContext })
      expect(toBase64url(key)).toBe(vectors.sealKey)
      return key
    }
    const nonce = fromBase64url(vectors.sealed.nonce, 12)
    const sealed = { nonce, ciphertext: fromBase64url(vectors.sealed.ciphertext) }
    const keys = openRoundKeys(crypto, { federationId, round }, deriveSealKey, sealed)
    expect(keys.map(({ key, ...names }) => ({ ...names, key: toBase64url(key) }))).toEqual(
      devices.map(({ deviceId, sessionId: session, epoch: at, key }) => ({
        deviceId,
        sessionId: session,
        epoch: at,
        key,
      })),
    )
    expect(toBase64url(roundKeysContext(federationId, round, nonce))).toBe(vectors.sealContext)
    expect(JSON.parse(vectors.plaintext)).toEqual({
      keys: keys.map(({ key, ...names }) => ({ ...names, key: toBase64url(key) })),
    })
  })

  it('hashes the certificate as it is signed and logged', () => {
    const { certificate } = file
    expect(toBase64url(crypto.hash512(roundCertificateBytes(certificate)))).toBe(vectors.signedBytesHash)
    expect(roundCertificateHash(crypto, certificate)).toBe(vectors.certificateHash)
    expect(certificate.participants.map(({ commitment }) => commitment)).toEqual(devices.map((own) => own.commitment))
  })

  it.each(Object.entries(vectors.pins))(
    'verifies the file under %s alone, on either side of a rotation',
    (_, rootPin) => {
      const { logged } = verifyRoundCertificate(crypto, file, { rootPin, requireProof: true })
      expect([logged?.index, logged?.checkpoint.size]).toEqual([4, 6])
    },
  )

  it('verifies the attestation results that the certificate names by their hash', () => {
    const key = crypto.importSigningKey('ML-DSA-44', fromBase64url(vectors.seeds.attestation, 32))
    const verifier = crypto.importVerificationKey('ML-DSA-44', key.publicKey)
    for (const [at, { deviceId, ear, kid, identitySeed }] of devices.entries()) {
      const identity = crypto.importSigningKey('ML-DSA-44', fromBase64url(identitySeed, 32))
      expect(keyId(crypto, 'ML-DSA-44', identity.publicKey)).toBe(kid)
      const hash = toBase64url(crypto.hash256(new TextEncoder().encode(ear)))
      expect(file.certificate.participants[at]).toMatchObject({ deviceId, kid, attestationHash: hash })
      expect(verifyJws(crypto, ear, verifier)).toMatchObject({
        ear_status: file.certificate.participants[at]?.tier,
        cnf: { jwk: { kty: 'AKP', alg: 'ML-DSA-44', kid, pub: toBase64url(identity.publicKey) } },
      })
    }
  })
})
