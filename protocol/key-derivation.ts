import { concatenate, secretBytes } from './encoding.ts'
import type { Primitives } from './primitives.ts'

const HASH_BYTES = 64

/** HKDF-Extract (RFC 5869 §2.2) with SHA3-512, 64 bytes. */
export function extract(crypto: Primitives, salt: Uint8Array, ikm: Uint8Array): Uint8Array {
  return crypto.hmac512(salt, ikm)
}

/** HKDF-Expand (RFC 5869 §2.3) with SHA3-512; at most 255 × 64 bytes. */
export function expand(crypto: Primitives, prk: Uint8Array, info: Uint8Array, length: number): Uint8Array<ArrayBuffer> {
  if (length > 255 * HASH_BYTES) throw new RangeError(`HKDF gives at most ${255 * HASH_BYTES} bytes, not ${length}`)
  const result = secretBytes(length)
  let previous: Uint8Array = new Uint8Array(0)
  for (let i = 1; (i - 1) * HASH_BYTES < length; i++) {
    const input = concatenate([previous, info, Uint8Array.of(i)])
    const block = crypto.hmac512(prk, input)
    result.set(block.subarray(0, length - (i - 1) * HASH_BYTES), (i - 1) * HASH_BYTES)
    input.fill(0)
    previous.fill(0)
    previous = block
  }
  previous.fill(0)
  return result
}
