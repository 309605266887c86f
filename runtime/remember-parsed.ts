/** Of the texts that were read last, this many; each is kilobytes. */
const MAX_TEXTS = 256

/**
 * `parse` of texts that come again and again as they are, with what it gave the last time: the same object, which nobody changes. What it
 * throws is not kept.
 */
export function rememberParsed<T>(parse: (text: string) => T): (text: string) => T {
  const known = new Map<string, T>()
  return (text) => {
    const before = known.get(text)
    // The one that was used last goes last.
    const parsed = before ?? parse(text)
    known.delete(text)
    known.set(text, parsed)
    if (known.size > MAX_TEXTS) known.delete(known.keys().next().value as string)
    return parsed
  }
}
