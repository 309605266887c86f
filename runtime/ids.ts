import { randomUUIDv7 } from 'node:crypto'

/** UUIDv7 (RFC 9562 §5.7): ids sort by the time of their making. */
export function newId(): string {
  return randomUUIDv7()
}

/** When it was made, in milliseconds since the Unix epoch; undefined for an id that is no UUIDv7. */
export function timeOfId(id: string): number | undefined {
  if (id[14] !== '7') return undefined
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
}
