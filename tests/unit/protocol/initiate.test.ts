import { describe, expect, it } from 'vitest'
import { concatenate, encode } from '../../../protocol/encoding.ts'
import { initiateExchange } from '../../../protocol/exchange/initiate.ts'
import { initiateHash } from '../../../protocol/exchange/transcript.ts'
import type { Primitives } from '../../../protocol/primitives.ts'
import { signatureContexts } from '../../../protocol/suites.ts'
import { BUCKET, makeDevice, makeServer } from '../../support/protocol-exchange.ts'
import { providers, refusalOf, toHex } from '../../support/protocol-providers.ts'

describe.each(providers)('a device’s first message on $provider', (crypto) => {
  const { certificate, bucketKey } = makeServer(crypto)
  const device = makeDevice(crypto)
  /** A random source that gives the same at every device, always. */
  const broken: Primitives = { ...crypto, randomBytes: (length) => new Uint8Array(length).fill(0x42) }

  it('names the certificate’s suite and bucket, and is signed over th1', () => {
    const { request, th1 } = initiateExchange(crypto, device, certificate)
    expect(request).toMatchObject({ deviceId: device.deviceId, suite: 'ML-KEM-1024', bucket: BUCKET })
    expect(toHex(initiateHash(crypto, request, certificate))).toBe(toHex(th1))
    const key = crypto.importVerificationKey(device.identityKey.alg, device.identityKey.publicKey)
    expect(key.verify(th1, signatureContexts.exchange, request.signature)).toBe(true)
  })

  it('encapsulates to the bucket key', () => {
    const { request, sharedSecretS } = initiateExchange(crypto, device, certificate)
    expect(toHex(bucketKey.decapsulate(request.ciphertext))).toBe(toHex(sharedSecretS))
  })

  it('has a new key, nonce, ciphertext and secret each time', () => {
    const [one, other] = [0, 1].map(() => initiateExchange(crypto, device, certificate))
    for (const part of ['clientKey', 'nonce', 'ciphertext'] as const) {
      expect(toHex(one?.request[part] as Uint8Array), part).not.toBe(toHex(other?.request[part] as Uint8Array))
    }
    expect(toHex(one?.sharedSecretS as Uint8Array)).not.toBe(toHex(other?.sharedSecretS as Uint8Array))
  })

  it('hedges its secrets as docs/protocol.md says: a broken random source alone does not give them away', () => {
    const clientKey = (of: typeof device & { previousChain?: Uint8Array }) =>
      toHex(initiateExchange(broken, of, certificate).request.clientKey)
    const previousChain = new Uint8Array(64).fill(3)
    const expected = [new Uint8Array(0), previousChain].map((chain) => {
      const prk = crypto.hash512(encode('QFLARE-v1 hedge', broken.randomBytes(64), device.identitySeed, chain))
      const seed = crypto.hmac512(prk, concatenate([encode('QFLARE-v1 hedge key'), Uint8Array.of(1)]))
      return toHex(crypto.importDecapsulationKey('ML-KEM-1024', seed).encapsulationKey)
    })
    expect([clientKey(device), clientKey({ ...device, previousChain })]).toEqual(expected)
    expect(clientKey(makeDevice(crypto, 2))).not.toBe(expected[0])
  })

  it.runIf(crypto.provider === 'portable')('hedges its encapsulation, where the provider takes its randomness', () => {
    const secret = (of: typeof device) => toHex(initiateExchange(broken, of, certificate).sharedSecretS)
    expect(secret(device)).toBe(secret(device))
    expect(secret(makeDevice(crypto, 2))).not.toBe(secret(device))
  })

  it('leaves the chain of the session before as it was', () => {
    const previousChain = new Uint8Array(64).fill(3)
    initiateExchange(crypto, { ...device, previousChain }, certificate)
    expect(toHex(previousChain)).toBe('03'.repeat(64))
  })

  it('leaves the identity seed as it was', () => {
    const identitySeed = Uint8Array.from(device.identitySeed)
    initiateExchange(crypto, { ...device, identitySeed }, certificate)
    expect(toHex(identitySeed)).toBe(toHex(device.identitySeed))
  })

  it('is not made for a bucket key that fails the modulus check', () => {
    const publicKey = Uint8Array.from(certificate.publicKey).fill(0xff, 0, 3)
    const refusal = refusalOf(() => initiateExchange(crypto, device, { ...certificate, publicKey }))
    expect(refusal.code).toBe('key_invalid')
  })
})
