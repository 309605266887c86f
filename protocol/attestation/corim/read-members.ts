import { ProtocolError } from '../../errors.ts'
import { decodeCbor, Tagged } from '../cbor/decode-cbor.ts'

/** A digest of an integrity register stands nine levels deep. */
const MAX_DEPTH = 16

export function corimInvalid(message: string, options?: ErrorOptions): ProtocolError {
  return new ProtocolError('corim_invalid', message, options)
}

/** One value, with its tags. `preferred`: of bytes that nobody signed. Attacker-controlled input. Throws `corim_invalid`. */
export function readCbor(bytes: Uint8Array, where: string, { preferred = false } = {}): unknown {
  try {
    return decodeCbor(bytes, { preferred, maxDepth: MAX_DEPTH, tags: true })
  } catch (cause) {
    const message = `${where} is not CBOR of definite lengths, without floats, its texts UTF-8, nested ${MAX_DEPTH} deep at most.`
    throw corimInvalid(message, { cause })
  }
}

/** The members of a map by their names. What has none is not understood: it may change the meaning of the others. */
export function readMembers<const Names extends Readonly<Record<number, string>>>(
  value: unknown,
  where: string,
  names: Names,
): Partial<Record<Names[keyof Names & number], unknown>> {
  const members: Partial<Record<string, unknown>> = {}
  for (const [key, member] of readMap(value, where)) {
    const name = typeof key === 'number' ? names[key] : undefined
    if (name === undefined) throw corimInvalid(`${where} has a member ${nameOf(key)}, which is not understood.`)
    members[name] = member
  }
  return members as Partial<Record<Names[keyof Names & number], unknown>>
}

export function readMap(value: unknown, where: string): ReadonlyMap<unknown, unknown> {
  if (value instanceof Map && value.size > 0) return value as ReadonlyMap<unknown, unknown>
  throw corimInvalid(`${where} is no map that holds something.`)
}

export function readList(value: unknown, where: string): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0) return value as readonly unknown[]
  throw corimInvalid(`${where} is no array that holds something.`)
}

export function readText(value: unknown, where: string): string {
  if (typeof value === 'string' && value !== '') return value
  throw corimInvalid(`${where} is no text.`)
}

export function readBytes(value: unknown, where: string): Uint8Array {
  if (value instanceof Uint8Array) return value
  throw corimInvalid(`${where} is no byte string.`)
}

/** What stands behind the tag. */
export function readTagged(value: unknown, where: string, tag: number): unknown {
  if (value instanceof Tagged && value.tag === tag) return value.value
  throw corimInvalid(`${where} has not the tag ${tag}.`)
}

/** Text, or a UUID. */
export function readId(value: unknown, where: string): string {
  if (!(value instanceof Uint8Array)) return readText(value, where)
  if (value.length !== 16) throw corimInvalid(`${where} is neither text nor a UUID.`)
  return toHex(value).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function nameOf(key: unknown): string {
  if (typeof key === 'string') return JSON.stringify(key)
  return typeof key === 'number' ? String(key) : 'of another kind'
}
