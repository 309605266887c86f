import { describe, expect, it } from 'vitest'
import { acceptAnswer, initiateExchange } from '../../../protocol/exchange/initiate.ts'
import { signatureAlgorithmNames, signatureContexts } from '../../../protocol/suites.ts'
import { answerRequest, makeDevice, makeServer, seedOf } from '../../support/protocol-exchange.ts'
import { native, portable, providers, toHex, toUtf8 } from '../../support/protocol-providers.ts'

const EXCHANGES = 250
const TIMEOUT_MS = 120_000 // about 9 s on two cores; others run at the same time

describe.each([
  { deviceSide: native, serverSide: portable },
  { deviceSide: portable, serverSide: native },
])('a device on $deviceSide.provider and a server on $serverSide.provider', ({ deviceSide, serverSide }) => {
  it(`end ${EXCHANGES} exchanges with the same chain and the confirmations that they expect`, {
    timeout: TIMEOUT_MS,
  }, () => {
    const server = makeServer(serverSide)
    const devices = signatureAlgorithmNames.map((alg, number) => makeDevice(deviceSide, number, alg))
    const chains = new Set<string>()
    for (let i = 0; i < EXCHANGES; i++) {
      // ML-DSA-44 most of the time: signing is what takes long.
      const device = devices[i % 25 < 23 ? 0 : (i % 25) - 22] as (typeof devices)[number]
      const initiated = initiateExchange(deviceSide, device, server.certificate)
      const responded = answerRequest(serverSide, server, device.identityKey, initiated.request)
      const established = acceptAnswer(deviceSide, initiated, responded.answer)
      expect(toHex(established.chain)).toBe(toHex(responded.chain))
      expect(toHex(established.deviceConfirmation)).toBe(toHex(responded.expectedConfirmation))
      expect(established.sessionId).toBe(responded.answer.sessionId)
      chains.add(toHex(established.chain))
    }
    expect(chains.size).toBe(EXCHANGES)
  })
})

describe('the two providers', () => {
  it('make the same public keys of the same seeds', () => {
    for (let i = 0; i < 25; i++) {
      const [kem, dsa] = [seedOf(native, `kem ${i}`, 64), seedOf(native, `dsa ${i}`, 32)]
      const publicKeys = providers.map((crypto) => [
        toHex(crypto.importDecapsulationKey('ML-KEM-1024', kem).encapsulationKey),
        ...signatureAlgorithmNames.map((alg) => toHex(crypto.importSigningKey(alg, dsa).publicKey)),
      ])
      expect(publicKeys[0]).toEqual(publicKeys[1])
    }
  })

  it.each(signatureAlgorithmNames)('verify each other’s %s signatures under every context', (alg) => {
    const seed = seedOf(native, alg, 32)
    for (const [signer, verifier] of [providers, providers.toReversed()] as [typeof native, typeof native][]) {
      const key = signer.importSigningKey(alg, seed)
      const verificationKey = verifier.importVerificationKey(alg, key.publicKey)
      for (const context of Object.values(signatureContexts)) {
        for (const message of [new Uint8Array(0), toUtf8('message'), signer.randomBytes(5000)]) {
          expect(verificationKey.verify(message, context, key.sign(message, context)), context).toBe(true)
        }
      }
    }
  })

  it('answer the same wrong ciphertext with the same secret', () => {
    const seed = seedOf(native, 'implicit rejection', 64)
    const keys = providers.map((crypto) => crypto.importDecapsulationKey('ML-KEM-1024', seed))
    for (let i = 0; i < 25; i++) {
      const ciphertext = native.randomBytes(1568)
      const [one, other] = keys.map((key) => toHex(key.decapsulate(ciphertext)))
      expect(one).toBe(other)
    }
  })

  it('hash messages of every length around the block sizes to the same values', () => {
    for (const length of [0, 1, 55, 56, 63, 64, 65, 71, 72, 73, 135, 136, 137, 4096]) {
      const data = native.randomBytes(length)
      const values = providers.map((crypto) => [
        toHex(crypto.hash256(data)),
        toHex(crypto.sha256(data)),
        toHex(crypto.hash512(data)),
        toHex(crypto.hmacSha256(data, data)),
        toHex(crypto.hmac256(data, data)),
        toHex(crypto.hmac512(data, data)),
      ])
      expect(values[0]).toEqual(values[1])
    }
  })
})
