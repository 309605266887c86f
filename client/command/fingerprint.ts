import type { Primitives } from '../../protocol/primitives.ts'

/** What may be shown of a key, to compare two ends: the first 16 bytes of its SHA3-256, in hexadecimal. */
export function fingerprintOf(crypto: Primitives, key: Uint8Array): string {
  return Buffer.from(crypto.hash256(key).subarray(0, 16)).toString('hex')
}
