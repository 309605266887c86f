import { randomUUIDv7 } from 'node:crypto'

/** UUIDv7 (RFC 9562 §5.7): ids sort by the time of their making. */
export function newId(): string {
  return randomUUIDv7()
}
