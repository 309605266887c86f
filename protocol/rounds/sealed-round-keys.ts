import { writeBase64url } from '../base64url-table.ts'
import { encode, u64, uuidToBytes } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import type { Primitives } from '../primitives.ts'
import { MAX_ROUND_KEY_JSON_BYTES, type RoundKey, roundKeysPlaintext, type SealedRoundKeys } from './messages.ts'

/** Round keys on their way to the coordinator (docs/protocol.md §5): never in clear, not even inside TLS. */

const NONCE_BYTES = 12

/** Context of the coordinator's key of purpose `seal`, and the additional data under it. `nonce` has 12 bytes. */
export function roundKeysContext(federationId: string, round: number, nonce: Uint8Array): Uint8Array {
  return encode('round keys', uuidToBytes(federationId), u64(round), nonce)
}

/**
 * `sessionId`: the coordinator's. `deriveSealKey` gives its communication key of purpose `seal` for a context, 64 bytes, which
 * is wiped here. The keys stay the caller's to wipe.
 */
export function sealRoundKeys(
  crypto: Primitives,
  names: { federationId: string; round: number; sessionId: string },
  deriveSealKey: (context: Uint8Array) => Uint8Array,
  keys: readonly RoundKey[],
): SealedRoundKeys {
  const nonce = crypto.randomBytes(NONCE_BYTES)
  const context = roundKeysContext(names.federationId, names.round, nonce)
  const key = deriveSealKey(context)
  const plaintext = writePlaintext(keys)
  try {
    const ciphertext = crypto.sealAesGcm(key.subarray(0, 32), nonce, plaintext, context)
    return { sessionId: names.sessionId, nonce, ciphertext }
  } finally {
    plaintext.fill(0)
    key.fill(0)
  }
}

/**
 * What the server sealed for this coordinator, federation and round. `deriveSealKey` as above, for the session and epoch that
 * the answer names. The caller wipes the keys. `ciphertext_invalid` when anything is not as it was sealed.
 */
export function openRoundKeys(
  crypto: Primitives,
  names: { federationId: string; round: number },
  deriveSealKey: (context: Uint8Array) => Uint8Array,
  sealed: Pick<SealedRoundKeys, 'nonce' | 'ciphertext'>,
): RoundKey[] {
  const context = roundKeysContext(names.federationId, names.round, sealed.nonce)
  const key = deriveSealKey(context)
  let plaintext: Uint8Array
  try {
    plaintext = crypto.openAesGcm(key.subarray(0, 32), sealed.nonce, sealed.ciphertext, context)
  } finally {
    key.fill(0)
  }
  try {
    return readPlaintext(plaintext)
  } finally {
    plaintext.fill(0)
  }
}

const utf8 = new TextEncoder()

/** JSON, put together as bytes: a string that holds keys could not be wiped. */
function writePlaintext(keys: readonly RoundKey[]): Uint8Array {
  const plaintext = new Uint8Array((keys.length + 1) * MAX_ROUND_KEY_JSON_BYTES)
  let length = 0
  const write = (text: string) => {
    length += utf8.encodeInto(text, plaintext.subarray(length)).written
  }
  write('{"keys":[')
  for (const [index, { key, ...names }] of keys.entries()) {
    const separator = index === 0 ? '' : ','
    write(`${separator}{"deviceId":"${names.deviceId}","sessionId":"${names.sessionId}","epoch":${names.epoch},"key":"`)
    length += writeBase64url(key, plaintext.subarray(length))
    write('"}')
  }
  write(']}')
  return plaintext.subarray(0, length)
}

/** Whoever sealed it holds the coordinator's own chain; a server with a fault is not believed either. */
function readPlaintext(plaintext: Uint8Array): RoundKey[] {
  try {
    return roundKeysPlaintext.parse(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(plaintext))).keys
  } catch {
    // Not with its cause: what JSON.parse says of a text quotes from it.
    throw new ProtocolError('ciphertext_invalid', 'What was sealed are no round keys.')
  }
}
