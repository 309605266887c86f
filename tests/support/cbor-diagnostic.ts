import type { CborValue } from './cbor.ts'

/** What of CBOR's diagnostic notation (RFC 8949 §8) the fixtures use: maps, arrays, integers, text and byte strings. */
export function parseDiagnostic(text: string): CborValue {
  const tokens = text.match(/h'[^']*'|"[^"]*"|-?\d+|[{}[\]]/g) ?? []
  let at = 0
  const until = (end: string): CborValue[] => {
    const values: CborValue[] = []
    while (tokens[at] !== end) values.push(next())
    at++
    return values
  }
  const next = (): CborValue => {
    const token = tokens[at++]
    if (token === undefined) throw new Error('The notation ends too early.')
    if (token === '[') return until(']')
    if (token === '{') return toMap(until('}'))
    if (token.startsWith('h')) return Buffer.from(token.slice(2, -1), 'hex')
    return token.startsWith('"') ? token.slice(1, -1) : Number(token)
  }
  return next()
}

function toMap(flat: readonly CborValue[]): ReadonlyMap<CborValue, CborValue> {
  return new Map(flat.flatMap((key, index) => (index % 2 === 0 ? [[key, flat[index + 1] as CborValue] as const] : [])))
}
