import { gcm } from '@noble/ciphers/aes.js'
import { hmac } from '@noble/hashes/hmac.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { sha3_256, sha3_512 } from '@noble/hashes/sha3.js'
import { randomBytes } from '@noble/hashes/utils.js'
import { ml_dsa44, ml_dsa65, ml_dsa87 } from '@noble/post-quantum/ml-dsa.js'
import { ml_kem1024 } from '@noble/post-quantum/ml-kem.js'
import { ProtocolError } from '../errors.ts'
import type { DecapsulationKey, EncapsulationKey, Primitives, SigningKey, VerificationKey } from '../primitives.ts'
import { type SignatureAlgorithm, type Suite, signatureAlgorithms, suites } from '../suites.ts'
import { checkEncapsulationKey, checkLength, checkVerificationKey } from './key-checks.ts'

const kems = { 'ML-KEM-1024': ml_kem1024 } as const satisfies Record<Suite, unknown>
const signers = {
  'ML-DSA-44': ml_dsa44,
  'ML-DSA-65': ml_dsa65,
  'ML-DSA-87': ml_dsa87,
} as const satisfies Record<SignatureAlgorithm, unknown>

/**
 * @noble, for browsers and for runtimes whose OpenSSL lacks the algorithms. JavaScript can promise neither constant time
 * nor erased memory: a server prefers the native provider.
 */
export function createPortablePrimitives(): Primitives {
  return {
    provider: 'portable',
    randomBytes: (length) => randomBytes(length),
    hash512: (data) => sha3_512(data),
    hash256: (data) => sha3_256(data),
    sha256: (data) => sha256(data),
    hmacSha256: (key, data) => hmac(sha256, key, data),
    hmac512: (key, data) => hmac(sha3_512, key, data),
    hmac256: (key, data) => hmac(sha3_256, key, data),
    sealAesGcm(key, nonce, plaintext, additionalData) {
      checkLength(key, 32, 'AES-256 key')
      checkLength(nonce, 12, 'AES-GCM nonce')
      return gcm(key, nonce, additionalData).encrypt(plaintext)
    },
    openAesGcm,
    equal: equalBytes,
    importDecapsulationKey,
    importEncapsulationKey,
    importSigningKey,
    importVerificationKey,
  }
}

function openAesGcm(
  key: Uint8Array,
  nonce: Uint8Array,
  ciphertext: Uint8Array,
  additionalData: Uint8Array,
): Uint8Array {
  try {
    return gcm(key, nonce, additionalData).decrypt(ciphertext)
  } catch (cause) {
    throw new ProtocolError('ciphertext_invalid', 'The ciphertext is not what was sealed.', { cause })
  }
}

function importDecapsulationKey(suite: Suite, seed: Uint8Array): DecapsulationKey {
  checkLength(seed, suites[suite].seedBytes, `${suite} seed`)
  const { publicKey, secretKey } = kems[suite].keygen(Uint8Array.from(seed))
  return {
    suite,
    encapsulationKey: publicKey,
    decapsulate(ciphertext) {
      checkLength(ciphertext, suites[suite].ciphertextBytes, 'ciphertext')
      return kems[suite].decapsulate(Uint8Array.from(ciphertext), secretKey)
    },
  }
}

function importEncapsulationKey(suite: Suite, bytes: Uint8Array): EncapsulationKey {
  checkEncapsulationKey(suite, bytes)
  const publicKey = Uint8Array.from(bytes)
  return {
    suite,
    encapsulate(randomness) {
      if (randomness !== undefined) checkLength(randomness, 32, 'encapsulation randomness')
      const { cipherText, sharedSecret } = kems[suite].encapsulate(publicKey, randomness)
      return { ciphertext: cipherText, sharedSecret }
    },
  }
}

function importSigningKey(alg: SignatureAlgorithm, seed: Uint8Array): SigningKey {
  checkLength(seed, signatureAlgorithms[alg].seedBytes, `${alg} seed`)
  const { publicKey, secretKey } = signers[alg].keygen(Uint8Array.from(seed))
  return {
    alg,
    publicKey,
    sign: (message, context) => signers[alg].sign(message, secretKey, { context: ascii(context) }),
  }
}

function importVerificationKey(alg: SignatureAlgorithm, bytes: Uint8Array): VerificationKey {
  checkVerificationKey(alg, bytes)
  const publicKey = Uint8Array.from(bytes)
  const { signatureBytes } = signatureAlgorithms[alg]
  return {
    alg,
    publicKey,
    verify: (message, context, signature) =>
      signature.length === signatureBytes &&
      signers[alg].verify(signature, message, publicKey, { context: ascii(context) }),
  }
}

function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= (a[i] as number) ^ (b[i] as number)
  return difference === 0
}
