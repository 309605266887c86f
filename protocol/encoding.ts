import { decodeByTable, encodeByTable, sextetOf } from './base64url-table.ts'
import { ProtocolError } from './errors.ts'

const utf8 = new TextEncoder()

/** `E(a, b, …)` of docs/protocol.md §1: each part behind its length, 4 bytes big endian. Text is UTF-8; the first part is the label. */
export function encode(label: string, ...parts: (Uint8Array | string)[]): Uint8Array {
  const encoded = [toLabelBytes(label), ...parts.map(toBytes)]
  const result = new Uint8Array(encoded.reduce((sum, part) => sum + 4 + part.length, 0))
  let offset = 0
  for (const part of encoded) {
    writeUint32(result, offset, part.length)
    result.set(part, offset + 4)
    offset += 4 + part.length
  }
  return result
}

/** Labels are a few words of the code, each of which is encoded again and again. */
const labels = new Map<string, Uint8Array>()
const MAX_LABELS = 500

function toLabelBytes(label: string): Uint8Array {
  const known = labels.get(label)
  if (known !== undefined) return known
  const bytes = toBytes(label)
  if (labels.size < MAX_LABELS) labels.set(label, bytes)
  return bytes
}

/** A lone surrogate would be written as U+FFFD: two texts with one encoding. */
function toBytes(part: Uint8Array | string): Uint8Array {
  if (typeof part !== 'string') return part
  if (!part.isWellFormed()) throw new ProtocolError('encoding_invalid', 'Text holds a lone surrogate.')
  return utf8.encode(part)
}

/**
 * Bytes that stay where they are until they are wiped. An array of up to 64 bytes would lie on V8's heap, whose collector moves it
 * and leaves what it was behind.
 */
export function secretBytes(length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(length))
}

/** `lp(x)`. */
export function lengthPrefixed(bytes: Uint8Array): Uint8Array {
  const result = secretBytes(4 + bytes.length)
  writeUint32(result, 0, bytes.length)
  result.set(bytes, 4)
  return result
}

function writeUint32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value >>> 24
  target[offset + 1] = value >>> 16
  target[offset + 2] = value >>> 8
  target[offset + 3] = value
}

export function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const result = secretBytes(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    result.set(part, offset)
    offset += part.length
  }
  return result
}

/** `u64(n)`: 8 bytes big endian of a safe, non-negative integer. */
export function u64(n: number): Uint8Array {
  if (!Number.isSafeInteger(n) || n < 0)
    throw new ProtocolError('encoding_invalid', `${n} is not an integer below 2^53.`)
  const bytes = new Uint8Array(8)
  writeUint32(bytes, 0, Math.floor(n / 2 ** 32))
  writeUint32(bytes, 4, n % 2 ** 32)
  return bytes
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** Canonical lower-case text only. */
export function isUuid(text: string): boolean {
  return uuidPattern.test(text)
}

/** The 16 raw bytes that stand inside `E`. `encoding_invalid` unless the text is canonical. */
export function uuidToBytes(uuid: string): Uint8Array {
  if (!isUuid(uuid))
    throw new ProtocolError('encoding_invalid', 'A UUID is 36 characters of canonical lower-case text.')
  const bytes = new Uint8Array(16)
  let at = 0
  for (let i = 0; i < uuid.length; i += 2) {
    if (uuid.charCodeAt(i) === HYPHEN) i++
    bytes[at++] = (hexDigit(uuid.charCodeAt(i)) << 4) | hexDigit(uuid.charCodeAt(i + 1))
  }
  return bytes
}

const HYPHEN = 0x2d

/** Of a lower-case hexadecimal digit: '0' is 0x30, 'a' is 0x61. */
function hexDigit(code: number): number {
  return code < 0x61 ? code - 0x30 : code - 0x57
}

const hexPairs = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'))

export function uuidFromBytes(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < 16; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text += '-'
    text += hexPairs[bytes[i] as number]
  }
  return text
}

/** ECMA-262 2026, ten times as fast as the tables, and not everywhere yet. */
interface Base64 {
  fromBase64?: (text: string, options: { alphabet: 'base64url'; lastChunkHandling: 'loose' }) => Uint8Array
  prototype: { toBase64?: (options: { alphabet: 'base64url'; omitPadding: true }) => string }
}
const { fromBase64, prototype } = Uint8Array as unknown as Base64
const { toBase64 } = prototype

/** base64url without padding (RFC 4648 §5). */
export function toBase64url(bytes: Uint8Array): string {
  return toBase64 === undefined
    ? encodeByTable(bytes)
    : toBase64.call(bytes, { alphabet: 'base64url', omitPadding: true })
}

/**
 * Strict base64url: no padding, no white space, no other alphabet, zero trailing bits (RFC 4648 §3.5), and exactly
 * `length` bytes where it is given. Attacker-controlled input. Throws `encoding_invalid`.
 */
export function fromBase64url(text: string, length?: number): Uint8Array {
  const size = Math.floor((text.length * 3) / 4)
  if (text.length % 4 === 1) throw new ProtocolError('encoding_invalid', 'Not canonical base64url.')
  if (length !== undefined && size !== length) {
    throw new ProtocolError('encoding_invalid', `Holds ${size} bytes, not ${length}.`)
  }
  const bytes = fromBase64 === undefined ? decodeByTable(text) : decodeNatively(fromBase64, text)
  // Native decoding skips white space and padding: what it skipped is missing at the end.
  if (bytes?.length !== size) throw new ProtocolError('encoding_invalid', 'Not base64url without padding.')
  const unusedBits = (text.length * 6) % 8
  const lastSextet = sextetOf(text.charCodeAt(text.length - 1)) ?? 0
  if ((lastSextet & ((1 << unusedBits) - 1)) !== 0) {
    throw new ProtocolError('encoding_invalid', 'Not canonical base64url: trailing bits are not zero.')
  }
  return bytes
}

function decodeNatively(decode: NonNullable<Base64['fromBase64']>, text: string): Uint8Array | undefined {
  try {
    return decode.call(Uint8Array, text, { alphabet: 'base64url', lastChunkHandling: 'loose' })
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** base64 with padding (RFC 4648 §4): what C2SP's text formats use. */
export function toBase64Padded(bytes: Uint8Array): string {
  const text = toBase64url(bytes).replaceAll('-', '+').replaceAll('_', '/')
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=')
}

/** Strict, as `fromBase64url`. Attacker-controlled input. Throws `encoding_invalid`. */
export function fromBase64Padded(text: string, length?: number): Uint8Array {
  const [, digits] = /^([A-Za-z0-9+/]*)={0,2}$/.exec(text) ?? []
  if (digits === undefined || text.length % 4 !== 0 || text.length - digits.length !== (4 - (digits.length % 4)) % 4) {
    throw new ProtocolError('encoding_invalid', 'Not canonical base64.')
  }
  return fromBase64url(digits.replaceAll('+', '-').replaceAll('/', '_'), length)
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** Of objects and arrays in each other. Nothing of ours comes near; hostile JSON would otherwise end the stack. */
const MAX_JSON_DEPTH = 100

/**
 * RFC 8785. `encoding_invalid` for what it cannot represent, a number that is not finite or a lone surrogate, and for what is
 * nested more than 100 deep.
 */
export function canonicalJson(value: Json): string {
  // An entry of a log that is read back is written so already: that is one call instead of one for each member.
  return isCanonical(0, value) ? JSON.stringify(value) : canonicalAt(0, value)
}

/** Whether JSON.stringify would write it so: every member in its place, and nothing that has to be refused. */
function isCanonical(depth: number, value: Json): boolean {
  if (typeof value === 'string') return value.isWellFormed()
  if (typeof value === 'number') return Number.isFinite(value)
  if (value === null || typeof value === 'boolean') return true
  if (typeof value !== 'object' || depth === MAX_JSON_DEPTH) return false
  if (Array.isArray(value)) return value.every((member) => isCanonical(depth + 1, member))
  let before = ''
  for (const key of Object.keys(value)) {
    if (key < before || !key.isWellFormed() || !isCanonical(depth + 1, value[key] as Json)) return false
    before = key
  }
  return true
}

function canonicalAt(depth: number, value: Json): string {
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new ProtocolError('encoding_invalid', 'JSON has no number that is not finite.')
    return JSON.stringify(value)
  }
  if (typeof value === 'string') {
    if (!value.isWellFormed()) throw new ProtocolError('encoding_invalid', 'A string holds a lone surrogate.')
    return JSON.stringify(value)
  }
  if (value === null || typeof value === 'boolean') return String(value)
  if (depth === MAX_JSON_DEPTH) throw new ProtocolError('encoding_invalid', 'JSON is nested too deep.')
  const inner = (member: Json) => canonicalAt(depth + 1, member)
  if (Array.isArray(value)) return `[${value.map(inner).join(',')}]`
  // Array.prototype.sort compares UTF-16 code units, which is the order of RFC 8785 §3.2.3.
  const members = Object.keys(value).sort()
  return `{${members.map((key) => `${inner(key)}:${inner(value[key] as Json)}`).join(',')}}`
}
