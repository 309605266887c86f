import { decode, Tokenizer, Type } from 'cborg'
import type { DecodeOptions, DecodeTokenizer, TagDecoder } from 'cborg/interface'

/** A value with the tag that stands before it. */
export class Tagged {
  readonly tag: number
  readonly value: unknown
  constructor(tag: number, value: unknown) {
    this.tag = tag
    this.value = value
  }
}

const common: DecodeOptions = {
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  useMaps: true,
  rejectDuplicateMapKeys: true,
  retainStringBytes: true,
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Whatever the tag is, it becomes a `Tagged`: what is meant by it is the reader's to say. */
const anyTag = new Proxy<Record<number, TagDecoder>>(
  {},
  {
    get:
      (_, tag): TagDecoder =>
      (decodeContent) =>
        new Tagged(Number(tag), decodeContent()),
  },
)

/**
 * One value of CBOR, all of the bytes: of definite lengths, without floats, texts of UTF-8 alone, with no key twice in a map, arrays, maps and tags nested
 * `maxDepth` deep at most. Byte strings become Uint8Arrays, maps Maps. `preferred` takes the shortest encoding of an integer alone, which
 * is what holds bytes that nobody signed to one form. Without `tags` a tag is refused. Attacker-controlled input. Throws errors of
 * the decoder's.
 */
export function decodeCbor(
  bytes: Uint8Array,
  { preferred, maxDepth, tags = false }: { preferred: boolean; maxDepth: number; tags?: boolean },
): unknown {
  const options = { ...common, strict: preferred, ...(tags && { tags: anyTag }) }
  return decode(bytes, { ...options, tokenizer: boundDepth(new Tokenizer(Uint8Array.from(bytes), options), maxDepth) })
}

/** What is nested thousands deep would end the stack, or not, by what is on it already. */
function boundDepth(tokenizer: Tokenizer, maxDepth: number): DecodeTokenizer {
  /** How many items each array, map and tag that is open still waits for. */
  const open: number[] = []
  return {
    done: () => tokenizer.done(),
    pos: () => tokenizer.pos(),
    next() {
      const token = tokenizer.next()
      while (open.at(-1) === 0) open.pop()
      const waiting = open.pop()
      if (waiting !== undefined) open.push(waiting - 1)
      // A number that is written as a float would be taken for the integer that it equals.
      if (token.type === Type.float) throw new RangeError('It holds a float.')
      // The decoder takes what is no UTF-8 for another text (RFC 8949 §5.3.1), and drops a byte order mark.
      if (token.type === Type.string) token.value = utf8.decode(token.byteValue)
      if (token.type === Type.array) open.push(Number(token.value))
      if (token.type === Type.map) open.push(2 * Number(token.value))
      if (token.type === Type.tag) open.push(1)
      if (open.length > maxDepth) throw new RangeError('It is nested too deep.')
      return token
    },
  }
}
