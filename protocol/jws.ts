import { canonicalJson, fromBase64url, type Json, toBase64url } from './encoding.ts'
import { ProtocolError } from './errors.ts'
import { keyId } from './key-id.ts'
import type { Primitives, VerificationKey } from './primitives.ts'
import { type SignatureAlgorithm, signatureContexts } from './suites.ts'

/** An ML-DSA key as a JWK (RFC 9964): `kty` AKP. */
export interface AkpJwk {
  kty: 'AKP'
  alg: SignatureAlgorithm
  kid: string
  pub: string
  use?: 'sig'
}

export function toJwk(crypto: Primitives, key: { alg: SignatureAlgorithm; publicKey: Uint8Array }): AkpJwk {
  return { kty: 'AKP', alg: key.alg, kid: keyId(crypto, key.alg, key.publicKey), pub: toBase64url(key.publicKey) }
}

/** The signing input of a compact JWS (RFC 7515 §5.1); ML-DSA signs it with an empty context (RFC 9964). */
export function jwsSigningInput(header: { alg: SignatureAlgorithm; kid: string; typ: string }, claims: Json): string {
  return `${segment(canonicalJson(header))}.${segment(canonicalJson(claims))}`
}

/** The claims of a compact JWS under exactly this key: its algorithm is the key's, never the header's. Throws `signature_invalid`. */
export function verifyJws(crypto: Primitives, jws: string, key: VerificationKey): Json {
  const [header = '', payload = '', signature = '', ...rest] = jws.split('.')
  if (rest.length > 0) throw new ProtocolError('signature_invalid', 'Not a compact JWS.')
  const named = parseSegment(header) as { alg?: unknown; kid?: unknown; crit?: unknown } | null
  if (named?.crit !== undefined)
    throw new ProtocolError('signature_invalid', 'The JWS has a critical header that is not known here.')
  if (named?.alg !== key.alg || named.kid !== keyId(crypto, key.alg, key.publicKey)) {
    throw new ProtocolError('signature_invalid', 'The JWS names another key.')
  }
  const input = new TextEncoder().encode(`${header}.${payload}`)
  if (!key.verify(input, signatureContexts.empty, decodeSegment(signature))) {
    throw new ProtocolError('signature_invalid', 'The signature of the JWS is not valid.')
  }
  return parseSegment(payload)
}

function segment(text: string): string {
  return toBase64url(new TextEncoder().encode(text))
}

function decodeSegment(text: string): Uint8Array {
  try {
    return fromBase64url(text)
  } catch (cause) {
    throw new ProtocolError('signature_invalid', 'A segment of the JWS is not base64url.', { cause })
  }
}

function parseSegment(text: string): Json {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(fromBase64url(text))) as Json
  } catch (cause) {
    throw new ProtocolError('signature_invalid', 'A segment of the JWS is not base64url of JSON.', { cause })
  }
}
