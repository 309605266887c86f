import { malformedEvidence } from '../evidence-format.ts'

export const derTags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  enumerated: 0x0a,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const

/** One value of DER. All of its bytes are views of what was parsed. */
export interface DerElement {
  /** Its bytes as one number: 0x30, 0xbf8540. */
  tag: number
  /** With tag and length. */
  der: Uint8Array
  content: Uint8Array
  /** Of a constructed value; otherwise none. */
  children: readonly DerElement[]
}

export interface DerOptions {
  /** Take numbers of tags up to 16,383 too, which have two or three bytes; certificates have none of these. */
  longTags?: boolean
}

const MAX_DEPTH = 16
const CLASS = 0xc0
const CONSTRUCTED = 0x20
/** A tag number of five ones means that further bytes follow, seven bits in each. */
const NUMBER = 0x1f

/**
 * Exactly one value of that tag in DER (X.690 §10 and §11): one-byte tags unless `longTags` says otherwise, definite and minimal lengths, every universal type in the form that DER
 * gives it, nothing behind it. A DEFAULT that is written out and a SET that is not in order are let pass: real certificates have both,
 * and neither can mean anything else. Attacker-controlled input. Throws `evidence_malformed`.
 */
export function parseDer(bytes: Uint8Array, tag: number, { longTags = false }: DerOptions = {}): DerElement {
  const element = readElement(bytes, 0, longTags)
  if (element.tag !== tag) throw malformedEvidence('DER holds a value of another type.')
  if (element.der.length !== bytes.length) throw malformedEvidence('Bytes follow the value in DER.')
  return element
}

/** The children of a value, which have to be of exactly these tags. Throws `evidence_malformed`. */
export function derChildren<const Tags extends readonly number[]>({ children }: DerElement, ...tags: Tags) {
  if (children.length !== tags.length || children.some(({ tag }, index) => tag !== tags[index])) {
    throw malformedEvidence('A structure in DER has other parts than its type.')
  }
  return children as unknown as { [Index in keyof Tags]: DerElement }
}

/**
 * The children of a value, whose tags in hex have to match the pattern: what may lack or repeat can be said so. Throws
 * `evidence_malformed`.
 */
export function derParts({ children }: DerElement, pattern: RegExp): readonly DerElement[] {
  const tags = children.map(({ tag }) => tag.toString(16).padStart(2, '0')).join(' ')
  if (!pattern.test(tags)) throw malformedEvidence('A structure in DER has other parts than its type.')
  return children
}

function readElement(bytes: Uint8Array, depth: number, longTags: boolean): DerElement {
  // What is not there is a length that is none.
  const [leading = 0] = bytes
  const tagBytes = (leading & NUMBER) === NUMBER ? tagLength(bytes, longTags) : 1
  const tag = tagBytes === 1 ? leading : Buffer.from(bytes).readUIntBE(0, tagBytes)
  const first = bytes[tagBytes] ?? 0x80
  if (depth > MAX_DEPTH) throw malformedEvidence('DER is nested too deep.')
  const isShort = first < 0x80
  const start = tagBytes + 1 + (isShort ? 0 : first & 0x7f)
  const end = start + (isShort ? first : readLongLength(bytes.subarray(tagBytes + 1, start)))
  if (end > bytes.length) throw malformedEvidence('DER ends within a value.')
  const content = bytes.subarray(start, end)
  if ((leading & CLASS) === 0 && !hasForm(tag, content)) {
    throw malformedEvidence('DER holds a value in a form that is not its own.')
  }
  const children = (leading & CONSTRUCTED) === 0 ? [] : readChildren(content, depth + 1, longTags)
  return { tag, der: bytes.subarray(0, end), content, children }
}

/** Of a tag of several bytes: its number, in as few bytes as it needs, is one that does not fit into the first. */
function tagLength(bytes: Uint8Array, longTags: boolean): number {
  const [, second = 0, third = 0x80] = bytes
  if (!longTags) throw malformedEvidence('DER holds a tag of several bytes.')
  if (second >= NUMBER && second < 0x80) return 2
  if (second > 0x80 && third < 0x80) return 3
  throw malformedEvidence('DER holds a tag that is not minimal, or far too long.')
}

function readChildren(content: Uint8Array, depth: number, longTags: boolean): DerElement[] {
  const children: DerElement[] = []
  for (let at = 0; at < content.length; ) {
    const child = readElement(content.subarray(at), depth, longTags)
    children.push(child)
    at += child.der.length
  }
  return children
}

/** The indefinite form has no bytes at all; three are enough for whatever is read here, lists of what is revoked too. */
function readLongLength(bytes: Uint8Array): number {
  const [first = 0] = bytes
  if (bytes.length === 1 && first >= 0x80) return first
  if ((bytes.length === 2 || bytes.length === 3) && first > 0) return Buffer.from(bytes).readUIntBE(0, bytes.length)
  throw malformedEvidence('DER holds a length that is not definite and minimal, or far too long.')
}

/** Whether a universal type has the form that DER gives it. */
function hasForm(tag: number, content: Uint8Array): boolean {
  switch (tag) {
    case derTags.boolean:
      return content.length === 1 && (content[0] === 0 || content[0] === 0xff)
    case derTags.integer:
      return isMinimalInteger(content)
    case derTags.bitString:
      return hasZeroUnusedBits(content)
    case derTags.null:
      return content.length === 0
    case derTags.objectIdentifier:
      return isMinimalIdentifier(content)
    case derTags.utcTime:
      return isTimeText(content, 13)
    case derTags.generalizedTime:
      return isTimeText(content, 15)
    case derTags.sequence:
    case derTags.set:
      return true
    default:
      // No other type is constructed, those two always are, and 0 ends an indefinite length.
      return tag !== 0 && tag < CONSTRUCTED && tag !== 0x10 && tag !== 0x11
  }
}

function isMinimalInteger(content: Uint8Array): boolean {
  const [first, second] = content
  if (second === undefined) return first !== undefined
  return !(first === 0 && second < 0x80) && !(first === 0xff && second >= 0x80)
}

/** The first byte counts the unused bits of the last, which are zero. */
function hasZeroUnusedBits(content: Uint8Array): boolean {
  const [unused = 8] = content
  if (unused > 7) return false
  if (content.length === 1) return unused === 0
  return ((content.at(-1) as number) & ((1 << unused) - 1)) === 0
}

/** Each number in as few bytes as it needs, the last of which is below 0x80. */
function isMinimalIdentifier(content: Uint8Array): boolean {
  const starts = content.filter((_, index) => index === 0 || (content[index - 1] as number) < 0x80)
  return (content.at(-1) ?? 0x80) < 0x80 && !starts.includes(0x80)
}

/** Digits, then Z: seconds are written, fractions and other time zones are not (RFC 5280 §4.1.2.5). */
function isTimeText(content: Uint8Array, length: number): boolean {
  return (
    content.length === length &&
    content.at(-1) === 0x5a &&
    content.subarray(0, -1).every((byte) => byte >= 0x30 && byte <= 0x39)
  )
}
