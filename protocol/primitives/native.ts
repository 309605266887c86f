import {
  type CipherGCM,
  createCipheriv,
  createDecipheriv,
  createHmac,
  createPrivateKey,
  createPublicKey,
  type DecipherGCM,
  decapsulate,
  encapsulate,
  hash,
  type KeyObject,
  randomBytes,
  randomFillSync,
  sign,
  timingSafeEqual,
  verify,
} from 'node:crypto'
import { secretBytes } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import type { DecapsulationKey, EncapsulationKey, Primitives, SigningKey, VerificationKey } from '../primitives.ts'
import { type SignatureAlgorithm, type Suite, signatureAlgorithms, suites } from '../suites.ts'
import { checkEncapsulationKey, checkLength, checkVerificationKey } from './key-checks.ts'

const kemKeyTypes = { 'ML-KEM-1024': 'ml-kem-1024' } as const satisfies Record<Suite, string>
const signatureKeyTypes = {
  'ML-DSA-44': 'ml-dsa-44',
  'ML-DSA-65': 'ml-dsa-65',
  'ML-DSA-87': 'ml-dsa-87',
} as const satisfies Record<SignatureAlgorithm, string>

/** node:crypto. `crypto_unavailable` where this runtime's OpenSSL lacks ML-KEM or ML-DSA (it has them from 3.5 on). */
export function createNativePrimitives(): Primitives {
  const primitives: Primitives = {
    provider: 'native',
    randomBytes: createRandomPool(),
    hash512: (data) => hash('sha3-512', data, 'buffer'),
    hash256: (data) => hash('sha3-256', data, 'buffer'),
    sha256: (data) => hash('sha256', data, 'buffer'),
    hmacSha256: (key, data) => createHmac('sha256', key).update(data).digest(),
    hmac512: (key, data) => createHmac('sha3-512', key).update(data).digest(),
    hmac256: (key, data) => createHmac('sha3-256', key).update(data).digest(),
    sealAesGcm,
    openAesGcm,
    equal: (a, b) => a.length === b.length && timingSafeEqual(a, b),
    importDecapsulationKey,
    importEncapsulationKey,
    importSigningKey,
    importVerificationKey,
  }
  try {
    primitives.importDecapsulationKey('ML-KEM-1024', new Uint8Array(64))
    primitives.importSigningKey('ML-DSA-44', new Uint8Array(32))
  } catch (cause) {
    throw new ProtocolError('crypto_unavailable', 'node:crypto of this runtime lacks ML-KEM or ML-DSA.', { cause })
  }
  return primitives
}

const POOL_BYTES = 4096
/** The shortest key or seed. */
const KEY_BYTES = 32

/** Draws many small values from one call of the generator; what was given out is wiped from the pool. */
function createRandomPool(): (length: number) => Uint8Array {
  const pool = new Uint8Array(POOL_BYTES)
  let at = POOL_BYTES
  return (length) => {
    // A negative or missing length would move the cursor: wiped bytes given out, or none ever again.
    if (!Number.isSafeInteger(length) || length < 0) throw new RangeError(`No random bytes of length ${length}`)
    if (length > POOL_BYTES / 16) return randomBytes(length)
    if (at + length > POOL_BYTES) {
      randomFillSync(pool)
      at = 0
    }
    // What is shorter is a nonce or a salt, and may stay anywhere.
    const bytes = length < KEY_BYTES ? new Uint8Array(length) : secretBytes(length)
    bytes.set(pool.subarray(at, at + length))
    pool.fill(0, at, at + length)
    at += length
    return bytes
  }
}

const GCM_TAG_BYTES = 16

function sealAesGcm(
  key: Uint8Array,
  nonce: Uint8Array,
  plaintext: Uint8Array,
  additionalData: Uint8Array,
  isSecret = false,
): Uint8Array {
  checkLength(key, 32, 'AES-256 key')
  checkLength(nonce, 12, 'AES-GCM nonce')
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(additionalData)
  const ciphertext = isSecret ? updateInPieces(cipher, plaintext) : cipher.update(plaintext)
  cipher.final()
  const sealed = Buffer.concat([ciphertext, cipher.getAuthTag()])
  ciphertext.fill(0)
  return sealed
}

function openAesGcm(
  key: Uint8Array,
  nonce: Uint8Array,
  ciphertext: Uint8Array,
  additionalData: Uint8Array,
): Uint8Array {
  checkLength(key, 32, 'AES-256 key')
  checkLength(nonce, 12, 'AES-GCM nonce')
  const tagAt = ciphertext.length - GCM_TAG_BYTES
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: GCM_TAG_BYTES })
      .setAAD(additionalData)
      .setAuthTag(ciphertext.subarray(tagAt))
    // All of the plaintext, which so stands in one place, for the caller to wipe: GCM has none left at its end.
    const plaintext = updateInPieces(decipher, ciphertext.subarray(0, tagAt))
    decipher.final()
    return plaintext
  } catch (cause) {
    throw new ProtocolError('ciphertext_invalid', 'The ciphertext is not what was sealed.', { cause })
  }
}

/** Up to this length it may be a key; what is longer is a message. */
const LONGEST_KEY_BYTES = 64
/** Of the words that the allocator links free memory with, the one that it always writes. */
const PIECE_BYTES = 8

/**
 * node:crypto works in memory that it copies the result from and frees unwiped, where a key would stand until that memory is used
 * again. Of pieces that are no longer than a link in the allocator's list of what is free, nothing is left.
 */
function updateInPieces(cipher: CipherGCM | DecipherGCM, input: Uint8Array): Uint8Array {
  if (input.length > LONGEST_KEY_BYTES) return cipher.update(input)
  const output = secretBytes(input.length)
  for (let at = 0; at < input.length; at += PIECE_BYTES) {
    const piece = cipher.update(input.subarray(at, at + PIECE_BYTES))
    // Of so few bytes a loop is faster than `set` and `fill`.
    for (let i = 0; i < piece.length; i++) {
      output[at + i] = piece[i] as number
      piece[i] = 0
    }
  }
  return output
}

function importDecapsulationKey(suite: Suite, seed: Uint8Array): DecapsulationKey {
  checkLength(seed, suites[suite].seedBytes, `${suite} seed`)
  const key = createPrivateKey({ key: toBuffer(seed), format: 'raw-seed', asymmetricKeyType: kemKeyTypes[suite] })
  return {
    suite,
    encapsulationKey: exportPublicKey(key),
    decapsulate(ciphertext) {
      checkLength(ciphertext, suites[suite].ciphertextBytes, 'ciphertext')
      return decapsulate(key, ciphertext)
    },
  }
}

function importEncapsulationKey(suite: Suite, bytes: Uint8Array): EncapsulationKey {
  checkEncapsulationKey(suite, bytes)
  const key = importPublicKey(bytes, kemKeyTypes[suite])
  return {
    suite,
    encapsulate() {
      const { ciphertext, sharedKey } = encapsulate(key)
      return { ciphertext, sharedSecret: sharedKey }
    },
  }
}

function importSigningKey(alg: SignatureAlgorithm, seed: Uint8Array): SigningKey {
  checkLength(seed, signatureAlgorithms[alg].seedBytes, `${alg} seed`)
  const key = createPrivateKey({ key: toBuffer(seed), format: 'raw-seed', asymmetricKeyType: signatureKeyTypes[alg] })
  return {
    alg,
    publicKey: exportPublicKey(key),
    sign: (message, context) => sign(null, message, { key, context: Buffer.from(context, 'ascii') }),
  }
}

function importVerificationKey(alg: SignatureAlgorithm, bytes: Uint8Array): VerificationKey {
  checkVerificationKey(alg, bytes)
  const key = importPublicKey(bytes, signatureKeyTypes[alg])
  const { signatureBytes } = signatureAlgorithms[alg]
  return {
    alg,
    publicKey: Uint8Array.from(bytes),
    verify: (message, context, signature) =>
      signature.length === signatureBytes &&
      verify(null, message, { key, context: Buffer.from(context, 'ascii') }, signature),
  }
}

function importPublicKey(
  bytes: Uint8Array,
  asymmetricKeyType: 'ml-kem-1024' | 'ml-dsa-44' | 'ml-dsa-65' | 'ml-dsa-87',
) {
  try {
    return createPublicKey({ key: toBuffer(bytes), format: 'raw-public', asymmetricKeyType })
  } catch (cause) {
    throw new ProtocolError('key_invalid', `The bytes are not a ${asymmetricKeyType} public key.`, { cause })
  }
}

function exportPublicKey(key: KeyObject): Uint8Array {
  return createPublicKey(key).export({ format: 'raw-public' })
}

/** A view, not a copy: node:crypto's types want a Buffer where its code takes any bytes. */
function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
