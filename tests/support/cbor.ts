/** What is written as it is, be it CBOR or not. */
export class RawCbor {
  readonly bytes: Uint8Array
  constructor(bytes: Uint8Array | string) {
    this.bytes = typeof bytes === 'string' ? Buffer.from(bytes, 'hex') : bytes
  }
}

export type CborValue =
  | number
  | string
  | null
  | Uint8Array
  | RawCbor
  | readonly CborValue[]
  | ReadonlyMap<CborValue, CborValue>

/** A writer of CBOR of the tests' own, in the shortest form (RFC 8949 §3), which also writes what is given to it raw. */
export function cbor(value: CborValue): Buffer {
  if (value === null) return Buffer.of(0xf6)
  if (typeof value === 'number') return value < 0 ? cborHead(1, -1 - value) : cborHead(0, value)
  if (typeof value === 'string') return Buffer.concat([cborHead(3, Buffer.byteLength(value)), Buffer.from(value)])
  if (value instanceof RawCbor) return Buffer.from(value.bytes)
  if (value instanceof Uint8Array) return Buffer.concat([cborHead(2, value.length), value])
  if (value instanceof Map) {
    return Buffer.concat([cborHead(5, value.size), ...[...(value as Map<CborValue, CborValue>)].flat().map(cbor)])
  }
  const items = value as readonly CborValue[]
  return Buffer.concat([cborHead(4, items.length), ...items.map(cbor)])
}

/** In the shortest form, or in `width` bytes behind the first one. */
export function cborHead(major: number, argument: number, width = shortest(argument)): Buffer {
  if (width === 0) return Buffer.of((major << 5) | argument)
  const bytes = Buffer.alloc(1 + width)
  bytes[0] = (major << 5) | (24 + Math.log2(width))
  bytes.writeUIntBE(argument, 1 + Math.max(0, width - 6), Math.min(width, 6))
  return bytes
}

function shortest(argument: number): number {
  if (argument < 24) return 0
  return [1, 2, 4].find((width) => argument < 256 ** width) ?? 8
}
