import type { SignatureAlgorithm, SignatureContext, Suite } from './suites.ts'

/** A private KEM key, held as the provider likes best. Made from a seed; never leaves the process in another form. */
export interface DecapsulationKey {
  readonly suite: Suite
  readonly encapsulationKey: Uint8Array
  /** Never fails on a wrong ciphertext of the right length: FIPS 203 answers it with another secret. `key_invalid` on a wrong length. */
  decapsulate(ciphertext: Uint8Array): Uint8Array
}

export interface EncapsulationKey {
  readonly suite: Suite
  /**
   * FIPS 203 algorithm 20. `randomness`: its m, 32 bytes, secret and used once, from a caller who hedges it; only the portable
   * provider can take it, node:crypto draws its own whatever is given.
   */
  encapsulate(randomness?: Uint8Array): { ciphertext: Uint8Array; sharedSecret: Uint8Array }
}

export interface SigningKey {
  readonly alg: SignatureAlgorithm
  readonly publicKey: Uint8Array
  /** FIPS 204 algorithm 2, pure and hedged. */
  sign(message: Uint8Array, context: SignatureContext): Uint8Array
}

export interface VerificationKey {
  readonly alg: SignatureAlgorithm
  readonly publicKey: Uint8Array
  /** False for every signature that is not valid, wrong lengths included. */
  verify(message: Uint8Array, context: SignatureContext, signature: Uint8Array): boolean
}

/**
 * Every cryptographic operation that the protocol needs. Two providers pass one contract test: `primitives/native.ts`
 * (node:crypto on OpenSSL 3.5 or newer) and `primitives/portable.ts` (@noble, any runtime). All operations are synchronous.
 */
export interface Primitives {
  readonly provider: 'native' | 'portable'
  /** From the operating system's generator. */
  randomBytes(length: number): Uint8Array
  /** SHA3-512 (FIPS 202), 64 bytes. */
  hash512(data: Uint8Array): Uint8Array
  /** SHA3-256 (FIPS 202), 32 bytes. */
  hash256(data: Uint8Array): Uint8Array
  /** SHA-256 (FIPS 180-4), 32 bytes: for the audit log alone, whose tree is that of RFC 6962. */
  sha256(data: Uint8Array): Uint8Array
  /** HMAC with SHA-256, 32 bytes: for notices of incidents alone, whose form is that of Standard Webhooks. */
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array
  /** HMAC with SHA3-512 (FIPS 198-1), 64 bytes. */
  hmac512(key: Uint8Array, data: Uint8Array): Uint8Array
  /** HMAC with SHA3-256, 32 bytes. */
  hmac256(key: Uint8Array, data: Uint8Array): Uint8Array
  /**
   * AES-256-GCM (SP 800-38D): ciphertext, then the 16-byte tag. `nonce` has 12 bytes and is never used twice under a key. `isSecret`:
   * of the ciphertext too nothing is left but what is returned, if it is no longer than a key; that takes longer.
   */
  sealAesGcm(
    key: Uint8Array,
    nonce: Uint8Array,
    plaintext: Uint8Array,
    additionalData: Uint8Array,
    isSecret?: boolean,
  ): Uint8Array
  /** The plaintext; `ciphertext_invalid` when anything is not as it was sealed. */
  openAesGcm(key: Uint8Array, nonce: Uint8Array, ciphertext: Uint8Array, additionalData: Uint8Array): Uint8Array
  /** In constant time for equal lengths; false for different ones. */
  equal(a: Uint8Array, b: Uint8Array): boolean
  /** `seed` is d ‖ z, 64 bytes (FIPS 203 algorithm 16). The caller may wipe it afterwards. `key_invalid` on a wrong length. */
  importDecapsulationKey(suite: Suite, seed: Uint8Array): DecapsulationKey
  /** Untrusted bytes. `key_invalid` on a wrong length or a coefficient that is not below q (FIPS 203 §7.2). */
  importEncapsulationKey(suite: Suite, bytes: Uint8Array): EncapsulationKey
  /** `seed` is ξ, 32 bytes (FIPS 204 algorithm 1). The caller may wipe it afterwards. `key_invalid` on a wrong length. */
  importSigningKey(alg: SignatureAlgorithm, seed: Uint8Array): SigningKey
  /** Untrusted bytes. `key_invalid` on a wrong length or an all-zero t1, for which anyone can sign. */
  importVerificationKey(alg: SignatureAlgorithm, bytes: Uint8Array): VerificationKey
}
