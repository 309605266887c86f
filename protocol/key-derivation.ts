import { concatenate } from './encoding.ts'
import type { Primitives } from './primitives.ts'

const HASH_BYTES = 64

/** HKDF-Extract (RFC 5869 §2.2) with SHA3-512, 64 bytes. */
export function extract(crypto: Primitives, salt: Uint8Array, ikm: Uint8Array): Uint8Array {
  return crypto.hmac512(salt, ikm)
}

/** HKDF-Expand (RFC 5869 §2.3) with SHA3-512; at most 255 × 64 bytes. */
export function expand(crypto: Primitives, prk: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  if (length > 255 * HASH_BYTES) throw new RangeError(`HKDF gives at most ${255 * HASH_BYTES} bytes, not ${length}`)
  const blocks: Uint8Array[] = []
  let block = new Uint8Array(0)
  for (let i = 1; blocks.length * HASH_BYTES < length; i++) {
    block = Uint8Array.from(crypto.hmac512(prk, concatenate([block, info, Uint8Array.of(i)])))
    blocks.push(block)
  }
  return concatenate(blocks).subarray(0, length)
}
