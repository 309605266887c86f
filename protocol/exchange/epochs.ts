import { encode, u64, uuidToBytes } from '../encoding.ts'
import { expand } from '../key-derivation.ts'
import type { Primitives } from '../primitives.ts'

export const keyPurposes = ['encryption', 'signing', 'round', 'seal', 'token'] as const
export type KeyPurpose = (typeof keyPurposes)[number]

/** `chain(e + 1)` of `chain(e)`, 64 bytes (docs/protocol.md §5). The caller wipes the old one. */
export function ratchet(crypto: Primitives, chain: Uint8Array, epoch: number): Uint8Array {
  return expand(crypto, chain, encode('QFLARE-v1 ratchet', u64(epoch + 1)), 64)
}

/** The 64-byte communication key of an epoch; an AES-256 key is its first 32 bytes. */
export function communicationKey(
  crypto: Primitives,
  chain: Uint8Array,
  names: { sessionId: string; epoch: number; purpose: KeyPurpose; context?: Uint8Array },
): Uint8Array<ArrayBuffer> {
  const { sessionId, epoch, purpose, context = new Uint8Array(0) } = names
  return expand(crypto, chain, encode('QFLARE-v1 comm', uuidToBytes(sessionId), u64(epoch), purpose, context), 64)
}

/** Context of purpose `round`. */
export function roundContext(federationId: string, round: number): Uint8Array {
  return encode('round', uuidToBytes(federationId), u64(round))
}

/** Proof of a token renewal, 64 bytes (docs/protocol.md §4, access tokens). `nonce` has 32 bytes. */
export function tokenProof(
  crypto: Primitives,
  chain: Uint8Array,
  names: { sessionId: string; epoch: number; nonce: Uint8Array },
): Uint8Array {
  const { sessionId, epoch, nonce } = names
  const key = communicationKey(crypto, chain, { sessionId, epoch, purpose: 'token', context: nonce })
  const proof = crypto.hmac512(key, encode('QFLARE-v1 token', uuidToBytes(sessionId), u64(epoch), nonce))
  key.fill(0)
  return proof
}
