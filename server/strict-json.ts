/** Attacker-controlled text. */
export class StrictJsonError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'StrictJsonError'
  }
}

export const MAX_JSON_DEPTH = 8

/**
 * JSON.parse, and none of what it lets through: duplicate keys, `__proto__`, `constructor` and `prototype` as keys, more than
 * 8 levels, bytes that are not UTF-8, lone surrogates (RFC 7493 §2.1), which neither RFC 8785 nor PostgreSQL can write.
 * Throws StrictJsonError.
 */
export function parseStrictJson(bytes: Uint8Array): unknown {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new StrictJsonError('The body is not UTF-8.')
  }
  checkStructure(text)
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw new StrictJsonError('The body is not JSON.')
  }
}

const forbiddenKeys = new Set(['__proto__', 'constructor', 'prototype'])

/**
 * One pass over the text that follows strings, brackets and keys only. It runs before JSON.parse, so that no deep text reaches
 * the recursion there; whatever it misreads because the text is no JSON, JSON.parse refuses.
 */
function checkStructure(text: string): void {
  const objects: (Set<string> | undefined)[] = []
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at)
    if (character === OPEN_BRACE || character === OPEN_BRACKET) {
      objects.push(character === OPEN_BRACE ? new Set() : undefined)
      if (objects.length > MAX_JSON_DEPTH)
        throw new StrictJsonError(`The body is deeper than ${MAX_JSON_DEPTH} levels.`)
    } else if (character === CLOSE_BRACE || character === CLOSE_BRACKET) {
      objects.pop()
    } else if (character === QUOTE) {
      const end = endOfString(text, at)
      const quoted = text.slice(at, end + 1)
      const keys = objects.at(-1)
      if (keys !== undefined && isFollowedByColon(text, end)) addKey(keys, unquote(quoted))
      else if (quoted.includes('\\u')) unquote(quoted)
      at = end
    }
  }
}

const [QUOTE, BACKSLASH, COLON] = [0x22, 0x5c, 0x3a]
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d]
const whiteSpace = new Set([0x20, 0x09, 0x0a, 0x0d])

/** Index of the closing quote. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return end
  }
  throw new StrictJsonError('The body is not JSON.')
}

function isFollowedByColon(text: string, end: number): boolean {
  let next = end + 1
  while (whiteSpace.has(text.charCodeAt(next))) next++
  return text.charCodeAt(next) === COLON
}

/** What a string with its quotes says: two spellings of one key are one key. */
function unquote(quoted: string): string {
  let text: string
  try {
    text = JSON.parse(quoted) as string
  } catch {
    throw new StrictJsonError('The body is not JSON.')
  }
  if (!text.isWellFormed()) throw new StrictJsonError('A string holds a lone surrogate.')
  return text
}

function addKey(keys: Set<string>, key: string): void {
  if (forbiddenKeys.has(key)) throw new StrictJsonError(`A member must not be called ${key}.`)
  if (keys.has(key)) throw new StrictJsonError('A member stands twice in one object.')
  keys.add(key)
}
