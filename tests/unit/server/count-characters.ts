const prototype = String.prototype as {
  charCodeAt: (this: string, at: number) => number
  indexOf: (this: string, searched: string, from?: number) => number
  slice: (this: string, start?: number, end?: number) => string
}
const json = JSON as { parse: (this: void, text: string) => unknown }

/** Runs `work` and counts the characters that it looks at: one by one, by searching, by cutting out and by JSON.parse. */
export function countCharacters<T>(work: () => T): { result: T; characters: number } {
  const { charCodeAt, indexOf, slice } = prototype
  const { parse } = json
  let characters = 0
  prototype.charCodeAt = function (at) {
    characters++
    return charCodeAt.call(this, at)
  }
  prototype.indexOf = function (searched, from = 0) {
    const found = indexOf.call(this, searched, from)
    characters += (found === -1 ? this.length : found) - from + 1
    return found
  }
  prototype.slice = function (start, end) {
    const part = slice.call(this, start, end)
    characters += part.length
    return part
  }
  json.parse = (text) => {
    characters += text.length
    return parse(text)
  }
  try {
    return { result: work(), characters }
  } finally {
    Object.assign(prototype, { charCodeAt, indexOf, slice })
    json.parse = parse
  }
}
