import { describe, expect, it } from 'vitest'
import type { Primitives } from '../../../protocol/primitives.ts'
import { signatureAlgorithmNames, signatureAlgorithms, signatureContexts } from '../../../protocol/suites.ts'
import { seedOf } from '../../support/protocol-exchange.ts'
import { asSlice, flipBit, providers, refusalOf, toHex, toUtf8 } from '../../support/protocol-providers.ts'

const SUITE = 'ML-KEM-1024'
const abc = toUtf8('abc')
const empty = new Uint8Array(0)

describe.each(providers)('$provider hashes', (crypto) => {
  it('to the published SHA-3 values (FIPS 202 examples)', () => {
    expect(toHex(crypto.hash256(empty))).toBe('a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a')
    expect(toHex(crypto.hash256(abc))).toBe('3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532')
    expect(toHex(crypto.hash512(empty))).toBe(
      'a69f73cca23a9ac5c8b567dc185a756e97c982164fe25859e0d1dcc1475c80a615b2123af1f5f94c11e3e9402c3ac558f500199d95b6d3e301758586281dcd26',
    )
    expect(toHex(crypto.hash512(abc))).toBe(
      'b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0',
    )
  })

  it('to the published SHA-256 values (FIPS 180-4 examples)', () => {
    const twoBlocks = toUtf8('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq')
    expect([empty, abc, twoBlocks].map((data) => toHex(crypto.sha256(data)))).toEqual([
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
    ])
  })

  it('with a key to the HMAC of the first message of RFC 4231, and of an empty one', () => {
    const key = new Uint8Array(20).fill(0x0b)
    expect(toHex(crypto.hmac256(key, toUtf8('Hi There')))).toBe(
      'ba85192310dffa96e2a3a40e69774351140bb7185e1202cdcc917589f95e16bb',
    )
    expect(toHex(crypto.hmac512(key, toUtf8('Hi There')))).toBe(
      'eb3fbd4b2eaab8f5c504bd3a41465aacec15770a7cabac531e482f860b5ec7ba47ccb2c6f2afce8f88d22b6dc61380f23a668fd3888bb80537c0a0b86407689e',
    )
    expect(toHex(crypto.hmac512(empty, empty))).toBe(
      'cbcf45540782d4bc7387fbbf7d30b3681d6d66cc435cafd82546b0fce96b367ea79662918436fba442e81a01d0f9592dfcd30f7a7a8f1475693d30be4150ca84',
    )
  })

  it.each([63, 64, 65, 71, 72, 73, 200])(
    'with an HMAC key of %i bytes as the definition says (FIPS 198-1; block 64, 72 and 136)',
    (size) => {
      const key = crypto.randomBytes(size)
      const data = crypto.randomBytes(100)
      expect(toHex(crypto.hmacSha256(key, data))).toBe(toHex(hmac((bytes) => crypto.sha256(bytes), 64, key, data)))
      expect(toHex(crypto.hmac512(key, data))).toBe(toHex(hmac((bytes) => crypto.hash512(bytes), 72, key, data)))
      expect(toHex(crypto.hmac256(key, data))).toBe(toHex(hmac((bytes) => crypto.hash256(bytes), 136, key, data)))
    },
  )
})

describe.each(providers)('$provider compares', (crypto) => {
  it('equal bytes as equal, and bytes that differ in one bit or in length as different', () => {
    const bytes = crypto.randomBytes(64)
    expect(crypto.equal(bytes, Uint8Array.from(bytes))).toBe(true)
    expect(crypto.equal(empty, new Uint8Array(0))).toBe(true)
    for (const bit of [0, 7, 255, 511]) expect(crypto.equal(bytes, flipBit(bytes, bit))).toBe(false)
    for (const [one, other] of [
      [bytes, bytes.subarray(0, 63)],
      [bytes, empty],
      [new Uint8Array(8), new Uint8Array(9)],
    ] as const) {
      expect([crypto.equal(one, other), crypto.equal(other, one)]).toEqual([false, false])
    }
  })
})

describe.each(providers)('$provider ML-KEM-1024', (crypto) => {
  const seed = seedOf(crypto, 'kem', 64)
  const key = crypto.importDecapsulationKey(SUITE, seed)
  const peer = crypto.importEncapsulationKey(SUITE, key.encapsulationKey)

  it('has the lengths of FIPS 203 and gives both ends one secret', () => {
    const { ciphertext, sharedSecret } = peer.encapsulate()
    expect([key.encapsulationKey.length, ciphertext.length, sharedSecret.length]).toEqual([1568, 1568, 32])
    expect([key.suite, peer.suite]).toEqual([SUITE, SUITE])
    expect(toHex(key.decapsulate(ciphertext))).toBe(toHex(sharedSecret))
    expect(toHex(peer.encapsulate().sharedSecret)).not.toBe(toHex(sharedSecret))
  })

  it('encapsulates with the randomness that is given, or with its own', () => {
    const randomness = seedOf(crypto, 'm', 32)
    const [one, other] = [0, 1].map(() => peer.encapsulate(randomness))
    expect(toHex(key.decapsulate(one?.ciphertext as Uint8Array))).toBe(toHex(one?.sharedSecret as Uint8Array))
    const isSame = toHex(one?.sharedSecret as Uint8Array) === toHex(other?.sharedSecret as Uint8Array)
    expect(isSame).toBe(crypto.provider === 'portable')
    expect(toHex(randomness)).toBe(toHex(seedOf(crypto, 'm', 32)))
  })

  it.each([0, 63, 65, 32])('refuses a seed of %i bytes', (size) => {
    expect(refusalOf(() => crypto.importDecapsulationKey(SUITE, new Uint8Array(size)))).toEqual({
      code: 'key_invalid',
      message: `The ML-KEM-1024 seed has ${size} bytes, not 64.`,
    })
  })

  it.each([0, 1567, 1569, 1184])('refuses an encapsulation key and a ciphertext of %i bytes', (size) => {
    const wrong = new Uint8Array(size)
    const expected = (what: string) => ({
      code: 'key_invalid',
      message: `The ${what} has ${size} bytes, not 1568.`,
    })
    expect(refusalOf(() => crypto.importEncapsulationKey(SUITE, wrong))).toEqual(expected('encapsulation key'))
    expect(refusalOf(() => key.decapsulate(wrong))).toEqual(expected('ciphertext'))
  })

  it('answers a wrong ciphertext with another secret of 32 bytes, always the same, and with no error', () => {
    const { ciphertext, sharedSecret } = peer.encapsulate()
    for (const wrong of [flipBit(ciphertext, 0), flipBit(ciphertext, 12_543), new Uint8Array(1568)]) {
      const secret = key.decapsulate(wrong)
      expect(secret.length).toBe(32)
      expect(toHex(secret)).not.toBe(toHex(sharedSecret))
      expect(toHex(secret)).toBe(toHex(key.decapsulate(wrong)))
    }
  })

  it.each([0, 1, 510, 511, 1022, 1023])('refuses coefficient %i when it is not below the modulus', (position) => {
    const { encapsulationKey } = key
    for (const value of [3329, 3330, 4095]) {
      const bytes = withCoefficient(encapsulationKey, position, value)
      expect(refusalOf(() => crypto.importEncapsulationKey(SUITE, bytes)).code).toBe('key_invalid')
    }
    for (const value of [0, 3328]) {
      const bytes = withCoefficient(encapsulationKey, position, value)
      expect(crypto.importEncapsulationKey(SUITE, bytes).encapsulate().ciphertext.length).toBe(1568)
    }
  })

  it('takes any 32 bytes for rho, the last part of an encapsulation key', () => {
    const bytes = Uint8Array.from(key.encapsulationKey).fill(0xff, 1536)
    expect(crypto.importEncapsulationKey(SUITE, bytes).encapsulate().sharedSecret.length).toBe(32)
  })

  it('needs neither the seed nor the imported bytes any longer once they are imported', () => {
    const wiped = Uint8Array.from(seed)
    const imported = crypto.importDecapsulationKey(SUITE, wiped)
    wiped.fill(0)
    const publicBytes = Uint8Array.from(key.encapsulationKey)
    const importedPeer = crypto.importEncapsulationKey(SUITE, publicBytes)
    publicBytes.fill(0)
    const { ciphertext, sharedSecret } = importedPeer.encapsulate()
    expect(toHex(imported.encapsulationKey)).toBe(toHex(key.encapsulationKey))
    expect(toHex(imported.decapsulate(ciphertext))).toBe(toHex(sharedSecret))
  })

  it('reads slices of a larger buffer as their own bytes, and leaves them as they were', () => {
    const [seedSlice, keySlice] = [asSlice(seed), asSlice(key.encapsulationKey)]
    const imported = crypto.importDecapsulationKey(SUITE, seedSlice)
    expect(toHex(imported.encapsulationKey)).toBe(toHex(key.encapsulationKey))
    const { ciphertext, sharedSecret } = crypto.importEncapsulationKey(SUITE, keySlice).encapsulate()
    const ciphertextSlice = asSlice(ciphertext)
    expect(toHex(imported.decapsulate(ciphertextSlice))).toBe(toHex(sharedSecret))
    expect([seedSlice, keySlice, ciphertextSlice].map(toHex)).toEqual(
      [seed, key.encapsulationKey, ciphertext].map(toHex),
    )
  })
})

const cases = providers.flatMap((crypto) =>
  signatureAlgorithmNames.map((alg) => ({ crypto, alg, name: crypto.provider })),
)

describe.each(cases)('$name $alg', ({ crypto, alg }) => {
  const { publicKeyBytes, signatureBytes } = signatureAlgorithms[alg]
  const seed = seedOf(crypto, 'dsa', 32)
  const key = crypto.importSigningKey(alg, seed)
  const verifier = crypto.importVerificationKey(alg, key.publicKey)
  const message = toUtf8('a message')
  const signature = key.sign(message, signatureContexts.exchange)
  const verify = (signed: Uint8Array, by = verifier) => by.verify(message, signatureContexts.exchange, signed)

  it('has the lengths of FIPS 204 and verifies what it signed', () => {
    expect([key.publicKey.length, signature.length]).toEqual([publicKeyBytes, signatureBytes])
    expect([key.alg, verifier.alg]).toEqual([alg, alg])
    expect(toHex(verifier.publicKey)).toBe(toHex(key.publicKey))
    expect(verify(signature)).toBe(true)
  })

  it('signs hedged: the same message twice gives two signatures', () => {
    expect(toHex(key.sign(message, signatureContexts.exchange))).not.toBe(toHex(signature))
  })

  it.each(Object.entries(signatureContexts))('signs and verifies under the context %s', (_, context) => {
    expect(verifier.verify(message, context, key.sign(message, context))).toBe(true)
  })

  it('does not verify under any other context, message or key', () => {
    for (const context of Object.values(signatureContexts)) {
      expect(verifier.verify(message, context, signature)).toBe(context === signatureContexts.exchange)
    }
    for (const other of [empty, toUtf8('a messagf'), toUtf8('a message ')]) {
      expect(verifier.verify(other, signatureContexts.exchange, signature)).toBe(false)
    }
    const stranger = crypto.importSigningKey(alg, seedOf(crypto, 'another', 32))
    expect(verify(signature, crypto.importVerificationKey(alg, stranger.publicKey))).toBe(false)
  })

  it('answers a signature of any other length, or of nonsense, with false and no error', () => {
    const lengths = Object.values(signatureAlgorithms).map((other) => other.signatureBytes)
    for (const size of [0, 1, signatureBytes - 1, signatureBytes + 1, ...lengths]) {
      const resized = new Uint8Array(size)
      resized.set(signature.subarray(0, Math.min(size, signatureBytes)))
      expect(verify(resized), `${size} bytes`).toBe(size === signatureBytes)
    }
    expect(verify(new Uint8Array(signatureBytes))).toBe(false)
    expect(verify(new Uint8Array(signatureBytes).fill(0xff))).toBe(false)
  })

  it('does not verify when a bit of the signature is another: in c, in z, in the hints', () => {
    const last = signatureBytes * 8 - 1
    for (const bit of [0, 255, 256 + 200, last >> 1, last - 8 * 40, last]) {
      expect(verify(flipBit(signature, bit)), `bit ${bit}`).toBe(false)
    }
  })

  it('refuses seeds and public keys of a wrong length', () => {
    for (const size of [0, 31, 33, 64]) {
      expect(refusalOf(() => crypto.importSigningKey(alg, new Uint8Array(size)))).toEqual({
        code: 'key_invalid',
        message: `The ${alg} seed has ${size} bytes, not 32.`,
      })
    }
    const others = Object.values(signatureAlgorithms).map((other) => other.publicKeyBytes)
    for (const size of [0, publicKeyBytes - 1, publicKeyBytes + 1, ...others.filter((n) => n !== publicKeyBytes)]) {
      expect(refusalOf(() => crypto.importVerificationKey(alg, new Uint8Array(size).fill(1)))).toEqual({
        code: 'key_invalid',
        message: `The ${alg} public key has ${size} bytes, not ${publicKeyBytes}.`,
      })
    }
  })

  it('refuses a public key with an all-zero t1, whatever its rho, and takes one with any byte of t1 set', () => {
    for (const rho of [0, 0x5a]) {
      const forgeable = new Uint8Array(publicKeyBytes).fill(rho, 0, 32)
      expect(refusalOf(() => crypto.importVerificationKey(alg, forgeable))).toEqual({
        code: 'key_invalid',
        message: 'The public key has an all-zero t1: anyone could sign for it.',
      })
      for (const at of [32, publicKeyBytes >> 1, publicKeyBytes - 1]) {
        const bytes = Uint8Array.from(forgeable)
        bytes[at] = 1
        expect(crypto.importVerificationKey(alg, bytes).alg).toBe(alg)
      }
    }
  })

  it('needs the seed no longer once it is imported', () => {
    const wiped = Uint8Array.from(seed)
    const imported = crypto.importSigningKey(alg, wiped)
    wiped.fill(0)
    expect(toHex(imported.publicKey)).toBe(toHex(key.publicKey))
    expect(verify(imported.sign(message, signatureContexts.exchange))).toBe(true)
  })

  it('keeps its public key when the bytes that it was imported from change', () => {
    const bytes = Uint8Array.from(key.publicKey)
    const imported = crypto.importVerificationKey(alg, bytes)
    bytes.fill(0)
    expect(verify(signature, imported)).toBe(true)
    expect(toHex(imported.publicKey)).toBe(toHex(key.publicKey))
  })

  it('reads slices of a larger buffer as their own bytes', () => {
    const imported = crypto.importSigningKey(alg, asSlice(seed))
    const signed = imported.sign(asSlice(message), signatureContexts.exchange)
    const importedVerifier = crypto.importVerificationKey(alg, asSlice(key.publicKey))
    expect(importedVerifier.verify(asSlice(message), signatureContexts.exchange, asSlice(signed))).toBe(true)
    expect(verify(signed)).toBe(true)
  })
})

/** `encapsulationKey` with one of its 1024 coefficients, 12 bits each, little endian (FIPS 203 algorithm 5). */
function withCoefficient(encapsulationKey: Uint8Array, position: number, value: number): Uint8Array {
  const bytes = Uint8Array.from(encapsulationKey)
  const at = (position >> 1) * 3
  const middle = bytes[at + 1] as number
  if (position % 2 === 0) {
    bytes[at] = value & 0xff
    bytes[at + 1] = (middle & 0xf0) | (value >> 8)
  } else {
    bytes[at + 1] = (middle & 0x0f) | ((value & 0x0f) << 4)
    bytes[at + 2] = value >> 4
  }
  return bytes
}

/** HMAC by its definition, of the hash alone. */
function hmac(hash: Primitives['hash512'], blockBytes: number, key: Uint8Array, data: Uint8Array): Uint8Array {
  const block = new Uint8Array(blockBytes)
  block.set(key.length > blockBytes ? hash(key) : key)
  const inner = hash(Buffer.concat([block.map((byte) => byte ^ 0x36), data]))
  return hash(Buffer.concat([block.map((byte) => byte ^ 0x5c), inner]))
}
