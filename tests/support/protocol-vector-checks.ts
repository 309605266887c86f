import { ProtocolError } from '../../protocol/errors.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { type SignatureAlgorithm, type SignatureContext, signatureAlgorithms } from '../../protocol/suites.ts'
import { toHex } from './protocol-providers.ts'

/** Each check throws when the provider does not do what a foreign vector says. */

const SUITE = 'ML-KEM-1024'

export function checkEncapsulationKey(crypto: Primitives, bytes: Uint8Array, isValid: boolean): void {
  const key = importOrRefuse(() => crypto.importEncapsulationKey(SUITE, bytes))
  if ((key !== undefined) !== isValid) throw new Error(`The key was ${isValid ? 'refused' : 'accepted'}.`)
  if (key !== undefined && key.encapsulate().ciphertext.length !== 1568) throw new Error('No ciphertext.')
}

export function checkDecapsulationKey(
  crypto: Primitives,
  expected: {
    seed: Uint8Array
    encapsulationKey: Uint8Array | undefined
    isValid: boolean
    ciphertext?: Uint8Array
    sharedSecret?: Uint8Array
  },
): void {
  const { seed, encapsulationKey, isValid, ciphertext, sharedSecret } = expected
  const secret = importOrRefuse(() => {
    const key = crypto.importDecapsulationKey(SUITE, seed)
    if (encapsulationKey !== undefined && isValid) mustEqual(key.encapsulationKey, encapsulationKey, 'public key')
    return ciphertext === undefined ? key.encapsulationKey : key.decapsulate(ciphertext)
  })
  if ((secret !== undefined) !== isValid) throw new Error(`The case was ${isValid ? 'refused' : 'accepted'}.`)
  if (secret !== undefined && sharedSecret !== undefined) mustEqual(secret, sharedSecret, 'shared secret')
}

export function checkPublicKey(
  crypto: Primitives,
  alg: SignatureAlgorithm,
  expected: { seed: Uint8Array; publicKey: Uint8Array },
): void {
  mustEqual(crypto.importSigningKey(alg, expected.seed).publicKey, expected.publicKey, 'public key')
}

/** Signing is hedged here: the recorded signature has to verify, and so has a new one. */
export function checkSigningKey(
  crypto: Primitives,
  alg: SignatureAlgorithm,
  expected: {
    seed: Uint8Array
    message: Uint8Array
    context: Uint8Array
    publicKey: Uint8Array | undefined
    signature: Uint8Array | undefined
  },
): void {
  const { seed, message, publicKey, signature } = expected
  const key = importOrRefuse(() => crypto.importSigningKey(alg, seed))
  if ((key !== undefined) !== (publicKey !== undefined)) throw new Error('The seed was accepted or refused wrongly.')
  if (key === undefined || publicKey === undefined || signature === undefined) return
  mustEqual(key.publicKey, publicKey, 'public key')
  const context = toContext(expected.context)
  const verificationKey = crypto.importVerificationKey(alg, publicKey)
  if (!verificationKey.verify(message, context, signature)) throw new Error('The recorded signature does not verify.')
  if (!verificationKey.verify(message, context, key.sign(message, context))) throw new Error('Ours does not verify.')
}

/** A key whose t1 is all zero has to be refused, whatever the vector says of its signatures: QFLARE is stricter. */
export function checkVerificationKey(
  crypto: Primitives,
  alg: SignatureAlgorithm,
  expected: {
    publicKey: Uint8Array
    message: Uint8Array
    context: Uint8Array
    signature: Uint8Array
    isValid: boolean
  },
): void {
  const { publicKey, message, context, signature, isValid } = expected
  const key = importOrRefuse(() => crypto.importVerificationKey(alg, publicKey))
  const isForgeable = publicKey.subarray(32).every((byte) => byte === 0)
  const mustBeRefused = isForgeable || publicKey.length !== signatureAlgorithms[alg].publicKeyBytes
  if ((key === undefined) !== mustBeRefused) throw new Error('The key was accepted or refused wrongly.')
  if (key === undefined) {
    if (isValid && !isForgeable) throw new Error('A key of a wrong length is said to be valid.')
    return
  }
  if (key.verify(message, toContext(context), signature) !== isValid) {
    throw new Error(`The signature was ${isValid ? 'refused' : 'accepted'}.`)
  }
}

/** The API takes contexts as text of QFLARE's own, all ASCII; what native makes of other text is its bytes, by luck. */
export function inexpressibleContext(crypto: Primitives, context: Uint8Array): string | undefined {
  if (context.length > 255) return 'a context of more than 255 bytes'
  if (crypto.provider === 'portable' && context.some((byte) => byte > 127)) return 'a context that is not ASCII'
  return undefined
}

function toContext(bytes: Uint8Array): SignatureContext {
  return Buffer.from(bytes).toString('latin1') as SignatureContext
}

/** Undefined where the provider refused the key or the ciphertext; any other error comes through. */
function importOrRefuse<T>(importKey: () => T): T | undefined {
  try {
    return importKey()
  } catch (error) {
    if (error instanceof ProtocolError && error.code === 'key_invalid') return undefined
    throw error
  }
}

function mustEqual(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (toHex(actual) !== toHex(expected)) throw new Error(`Another ${what}: ${toHex(actual).slice(0, 32)}…`)
}
