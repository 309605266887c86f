import { toBase64url } from '../../protocol/encoding.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { newId } from '../../runtime/ids.ts'

export const API_TOKEN_PREFIX = 'qf_'

/** A new secret of somebody: `credential` is `<id>.<secret>` and goes to its holder, `secretHash` (32 bytes) is kept. */
export function newCredential(crypto: Primitives): { id: string; credential: string; secretHash: Uint8Array } {
  const id = newId()
  const credential = `${id}.${toBase64url(crypto.randomBytes(32))}`
  return { id, credential, secretHash: hashCredential(crypto, credential) }
}

/** Tokens are stored as the SHA3-256 of `<id>.<secret>`; the secret has 256 bits, so that no slow hash is needed. */
export function hashCredential(crypto: Primitives, credential: string): Uint8Array {
  return crypto.hash256(new TextEncoder().encode(credential))
}
