import { concatenate, fromBase64Padded, toBase64Padded } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import type { Primitives } from '../primitives.ts'

/** The symmetric signature of Standard Webhooks 1.0.0. */

const SECRET_PREFIX = 'whsec_'
/** 192 to 512 bits. */
const SECRET_BYTES = { least: 24, most: 64 }
const VERSION = 'v1,'
/** Of one message: a sender signs with the secrets of one rotation. */
const MOST_SIGNATURES = 16

export interface WebhookMessage {
  /** Without a full stop, which is what stands between the parts that are signed. */
  id: string
  /** Of this try; seconds since the Unix epoch. */
  timestampSeconds: number
  /** As it is sent, byte for byte. */
  body: Uint8Array
}

/** The key in `whsec_` and base64, 24 to 64 bytes, which are the caller's to wipe. Undefined for anything else. */
export function parseWebhookSecret(text: string): Uint8Array | undefined {
  if (!text.startsWith(SECRET_PREFIX)) return undefined
  try {
    const key = fromBase64Padded(text.slice(SECRET_PREFIX.length))
    return key.length >= SECRET_BYTES.least && key.length <= SECRET_BYTES.most ? key : undefined
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}

/** The header `webhook-signature`: one for each key, so that a receiver may know either of them. */
export function signWebhook(crypto: Primitives, keys: readonly Uint8Array[], message: WebhookMessage): string {
  return keys.map((key) => signatureOf(crypto, key, message)).join(' ')
}

/** Whether one signature of the header is that of one of the keys. What stands in it of other versions is passed over. */
export function isSignedWebhook(
  crypto: Primitives,
  keys: readonly Uint8Array[],
  message: WebhookMessage,
  header: string,
): boolean {
  const utf8 = new TextEncoder()
  const given = header.split(' ', MOST_SIGNATURES).map((signature) => utf8.encode(signature))
  return keys.some((key) => {
    const expected = utf8.encode(signatureOf(crypto, key, message))
    return given.some((signature) => crypto.equal(signature, expected))
  })
}

function signatureOf(crypto: Primitives, key: Uint8Array, { id, timestampSeconds, body }: WebhookMessage): string {
  const signed = concatenate([new TextEncoder().encode(`${id}.${timestampSeconds}.`), body])
  return VERSION + toBase64Padded(crypto.hmacSha256(key, signed))
}
