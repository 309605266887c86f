import { decode, Tokenizer, Type } from 'cborg'
import type { DecodeOptions, DecodeTokenizer } from 'cborg/interface'
import { malformedEvidence } from './evidence-format.ts'

/** A PSA token has three levels: its claims, their components, and the parts of these. */
const MAX_DEPTH = 8

const common: DecodeOptions = {
  allowIndefinite: false,
  allowUndefined: false,
  allowInfinity: false,
  allowNaN: false,
  useMaps: true,
  rejectDuplicateMapKeys: true,
}

/**
 * One value of CBOR, all of the bytes: of definite lengths, without tags and floats, with no key twice in a map, nested 8 deep at most. Byte
 * strings become Uint8Arrays, maps Maps. `preferred` takes the shortest encoding of an integer alone, which is what holds bytes that
 * nobody signed to one form. Attacker-controlled input. Throws `evidence_malformed`.
 */
export function parseCbor(bytes: Uint8Array, { preferred }: { preferred: boolean }): unknown {
  const options = { ...common, strict: preferred }
  try {
    return decode(bytes, { ...options, tokenizer: boundDepth(new Tokenizer(Uint8Array.from(bytes), options)) })
  } catch (cause) {
    throw malformedEvidence('The evidence is not CBOR of the form that it has to have.', { cause })
  }
}

/** What is nested thousands deep would end the stack, or not, by what is on it already. */
function boundDepth(tokenizer: Tokenizer): DecodeTokenizer {
  /** How many items each array and map that is open still waits for. */
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
      if (token.type === Type.float) throw new RangeError('The evidence holds a float.')
      if (token.type === Type.array) open.push(Number(token.value))
      if (token.type === Type.map) open.push(2 * Number(token.value))
      if (open.length > MAX_DEPTH) throw new RangeError('The evidence is nested too deep.')
      return token
    },
  }
}
