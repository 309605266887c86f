import { concatenate, fromBase64Padded, toBase64Padded } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import type { Primitives, VerificationKey } from '../primitives.ts'
import { isKeyName, noteKeyId } from './signed-note.ts'

/** Kinds of signature lines: C2SP tlog-cosignature with ML-DSA-44, and our own line with ML-DSA-87 (docs/protocol.md §7). */
export const noteSignatureKinds = {
  cosignature: { alg: 'ML-DSA-44', identifier: Uint8Array.of(0x06) },
  mlDsa87: { alg: 'ML-DSA-87', identifier: Uint8Array.of(0xff, ...new TextEncoder().encode('qflare/v1/ml-dsa-87')) },
} as const
export type NoteSignatureKind = keyof typeof noteSignatureKinds

/** A key that signs checkpoints, with the name that it signs under. */
export interface VerifierKey {
  name: string
  kind: NoteSignatureKind
  /** 4 bytes. */
  keyId: Uint8Array
  key: VerificationKey
  /** When it may have signed, both included, in milliseconds since the Unix epoch. Without it: at any time. */
  validity?: { notBefore: number; notAfter: number }
}

/** `publicKey`: raw, of the kind's algorithm. Throws `key_invalid`, and `log_invalid` for a name that no note can hold. */
export function verifierKey(
  crypto: Primitives,
  name: string,
  kind: NoteSignatureKind,
  publicKey: Uint8Array,
): VerifierKey {
  if (!isKeyName(name)) throw new ProtocolError('log_invalid', `A note cannot hold the key name ${name}.`)
  const { alg, identifier } = noteSignatureKinds[kind]
  const key = crypto.importVerificationKey(alg, publicKey)
  return { name, kind, keyId: noteKeyId(crypto, name, concatenate([identifier, publicKey])), key }
}

/** The same with the time at which it was retired, for a file of keys: what it signed until then, it did sign. */
export function formatRetiredKey(key: VerifierKey, retiredAt: number): string {
  return `${formatVerifierKey(key)} until ${new Date(retiredAt).toISOString()}`
}

/** The one line in which such a key is published: `<name>+<key id in hex>+<base64>` (C2SP signed-note, "Verifier keys"). */
export function formatVerifierKey({ name, kind, keyId, key }: VerifierKey): string {
  const { identifier } = noteSignatureKinds[kind]
  return `${name}+${toHex(keyId)}+${toBase64Padded(concatenate([identifier, key.publicKey]))}`
}

/** With or without an end. Throws `key_invalid` for what is no verifier key, or one of a kind that is not known here. */
export function parseVerifierKey(crypto: Primitives, text: string): VerifierKey {
  const [, name, keyId, base64, until] =
    /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})(?: until (\S{1,40}))?$/.exec(text.trim()) ?? []
  if (name === undefined || base64 === undefined || !isKeyName(name)) {
    throw new ProtocolError('key_invalid', 'This is no verifier key: NAME+8 hexadecimal digits+base64.')
  }
  const bytes = decode(base64)
  for (const kind of ['cosignature', 'mlDsa87'] as const) {
    const { identifier } = noteSignatureKinds[kind]
    if (!identifier.every((byte, index) => bytes[index] === byte)) continue
    const parsed = verifierKey(crypto, name, kind, bytes.subarray(identifier.length))
    if (toHex(parsed.keyId) === keyId) return until === undefined ? parsed : { ...parsed, validity: ending(until) }
    throw new ProtocolError('key_invalid', `The verifier key ${name}+${keyId} holds another key than its id says.`)
  }
  throw new ProtocolError('key_invalid', `The verifier key ${name}+${keyId} is of a kind that is not known here.`)
}

function ending(until: string): { notBefore: number; notAfter: number } {
  const notAfter = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(until) ? Date.parse(until) : Number.NaN
  if (!Number.isNaN(notAfter)) return { notBefore: 0, notAfter }
  throw new ProtocolError('key_invalid', 'The end of this verifier key is no time such as 2027-11-28T12:00:00Z.')
}

function decode(base64: string): Uint8Array {
  try {
    return fromBase64Padded(base64)
  } catch (cause) {
    throw new ProtocolError('key_invalid', 'The key of this verifier key is not base64.', { cause })
  }
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
