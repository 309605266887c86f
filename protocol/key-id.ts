import { encode, toBase64url } from './encoding.ts'
import type { Primitives } from './primitives.ts'

/** `kid` (docs/protocol.md §1): 22 characters, of `alg` and the raw FIPS encoding of the public key. */
export function keyId(crypto: Primitives, alg: string, publicKey: Uint8Array): string {
  return toBase64url(crypto.hash256(encode('QFLARE-v1 kid', alg, publicKey)).subarray(0, 16))
}
