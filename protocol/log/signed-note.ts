import { fromBase64Padded, toBase64Padded } from '../encoding.ts'
import { ProtocolError } from '../errors.ts'
import type { Primitives } from '../primitives.ts'

/** C2SP signed-note: text that ends with a newline, an empty line, and lines of signatures. */
export interface SignedNote {
  /** With its last newline, without the empty line. */
  body: string
  signatures: NoteSignature[]
}

export interface NoteSignature {
  name: string
  /** 4 bytes: which key of this name, and which kind of signature. */
  keyId: Uint8Array
  /** Whatever the kind of signature puts behind the key id. */
  signature: Uint8Array
  /** As it stands in the note, without its newline. */
  line: string
}

const KEY_ID_BYTES = 4
const MAX_NOTE_LENGTH = 256 << 10
const MAX_SIGNATURES = 32
const DASH = '\u2014'

/** Attacker-controlled input; no signature is verified here. Throws `log_invalid`. */
export function parseNote(text: string): SignedNote {
  const end = text.lastIndexOf('\n\n')
  const isWritable = text.length <= MAX_NOTE_LENGTH && text.isWellFormed() && !/(?!\n)\p{Cc}/u.test(text)
  if (!isWritable || end < 0 || !text.endsWith('\n')) throw invalid('This is no signed note.')
  const lines = text.slice(end + 2, -1).split('\n')
  if (lines.length > MAX_SIGNATURES) throw invalid(`A note has at most ${MAX_SIGNATURES} signatures here.`)
  return { body: text.slice(0, end + 1), signatures: lines.map(parseSignatureLine) }
}

/** Throws `log_invalid`. */
export function parseSignatureLine(line: string): NoteSignature {
  const [dash, name = '', base64 = '', ...more] = line.split(' ')
  if (dash !== DASH || !isKeyName(name) || more.length > 0) throw invalid('A signature line of the note is not one.')
  const bytes = decode(base64)
  if (bytes.length <= KEY_ID_BYTES) throw invalid('A signature of the note is too short.')
  return { name, keyId: bytes.subarray(0, KEY_ID_BYTES), signature: bytes.subarray(KEY_ID_BYTES), line }
}

export function formatSignatureLine(name: string, keyId: Uint8Array, signature: Uint8Array): string {
  const bytes = new Uint8Array(KEY_ID_BYTES + signature.length)
  bytes.set(keyId)
  bytes.set(signature, KEY_ID_BYTES)
  return `${DASH} ${name} ${toBase64Padded(bytes)}`
}

export function formatNote(body: string, lines: readonly string[]): string {
  return `${body}\n${lines.map((line) => `${line}\n`).join('')}`
}

/**
 * No white space and no plus, neither of which could be told from what follows the name, no character that a note cannot hold, and
 * none that shows nothing but changes how the rest is shown; 1 to 255 bytes of UTF-8.
 */
export function isKeyName(name: string): boolean {
  return (
    name !== '' &&
    name.isWellFormed() &&
    !/[\s+\p{Cc}\p{Cf}]/u.test(name) &&
    new TextEncoder().encode(name).length <= 255
  )
}

/** The first 4 bytes of SHA-256 over name, newline, the kind of signature and the key. */
export function noteKeyId(crypto: Primitives, name: string, kindAndKey: Uint8Array): Uint8Array {
  const prefix = new TextEncoder().encode(`${name}\n`)
  const bytes = new Uint8Array(prefix.length + kindAndKey.length)
  bytes.set(prefix)
  bytes.set(kindAndKey, prefix.length)
  return crypto.sha256(bytes).subarray(0, KEY_ID_BYTES)
}

function decode(base64: string): Uint8Array {
  try {
    return fromBase64Padded(base64)
  } catch (cause) {
    throw new ProtocolError('log_invalid', 'A signature of the note is not base64.', { cause })
  }
}

function invalid(message: string): ProtocolError {
  return new ProtocolError('log_invalid', message)
}
