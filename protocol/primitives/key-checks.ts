import { ProtocolError } from '../errors.ts'
import { type SignatureAlgorithm, type Suite, signatureAlgorithms, suites } from '../suites.ts'

/** FIPS 203 §2.4: the modulus of ML-KEM. */
const Q = 3329
const ENCODED_VECTOR_BYTES = 1536 // k = 4 polynomials of 256 coefficients, 12 bits each
const RHO_BYTES = 32 // FIPS 204 algorithm 22: a public key is rho, then t1

/** The modulus check of FIPS 203 §7.2 on attacker-controlled bytes, and the length. Throws `key_invalid`. */
export function checkEncapsulationKey(suite: Suite, bytes: Uint8Array): void {
  checkLength(bytes, suites[suite].encapsulationKeyBytes, 'encapsulation key')
  for (let i = 0; i < ENCODED_VECTOR_BYTES; i += 3) {
    const low = bytes[i] as number
    const middle = bytes[i + 1] as number
    const high = bytes[i + 2] as number
    if ((low | ((middle & 0x0f) << 8)) >= Q || ((middle >> 4) | (high << 4)) >= Q) {
      throw new ProtocolError('key_invalid', 'The encapsulation key fails the modulus check of FIPS 203.')
    }
  }
}

/** Throws `key_invalid` on a wrong length or an all-zero t1. */
export function checkVerificationKey(alg: SignatureAlgorithm, bytes: Uint8Array): void {
  checkLength(bytes, signatureAlgorithms[alg].publicKeyBytes, `${alg} public key`)
  if (bytes.subarray(RHO_BYTES).every((byte) => byte === 0)) {
    throw new ProtocolError('key_invalid', 'The public key has an all-zero t1: anyone could sign for it.')
  }
}

export function checkLength(bytes: Uint8Array, expected: number, what: string): void {
  if (bytes.length !== expected) {
    throw new ProtocolError('key_invalid', `The ${what} has ${bytes.length} bytes, not ${expected}.`)
  }
}
