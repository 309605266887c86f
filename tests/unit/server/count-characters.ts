const prototype = String.prototype as {
  charCodeAt: (this: string, at: number) => number
  indexOf: (this: string, searched: string, from?: number) => number
  slice: (this: string, start?: number, end?: number) => string
}
const json = JSON as { parse: (this: void, text: string) => unknown }

/**
 * Runs `work` and throws once it has looked at more than `limit` characters: one by one, by searching, by cutting out or by
 * JSON.parse. A count, where a clock would depend on the machine.
 */
export function withinCharacters<T>(limit: number, work: () => T): T {
  const { charCodeAt, indexOf, slice } = prototype
  const { parse } = json
  let characters = 0
  function count(more: number): void {
    characters += more
    if (characters > limit) throw new Error(`It looked at more than ${limit} characters.`)
  }
  prototype.charCodeAt = function (at) {
    count(1)
    return charCodeAt.call(this, at)
  }
  prototype.indexOf = function (searched, from = 0) {
    const found = indexOf.call(this, searched, from)
    count((found === -1 ? this.length : found) - from + 1)
    return found
  }
  prototype.slice = function (start, end) {
    const part = slice.call(this, start, end)
    count(part.length)
    return part
  }
  json.parse = (text) => {
    count(text.length)
    return parse(text)
  }
  try {
    const result = work()
    count(0)
    return result
  } finally {
    Object.assign(prototype, { charCodeAt, indexOf, slice })
    json.parse = parse
  }
}
