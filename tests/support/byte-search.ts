/** Bytes that must not be found: 16 at least. */
export interface Canary {
  what: string
  bytes: Uint8Array
}

/** Finds what of the canaries stands in a stream of bytes, given piece by piece. */
export interface ByteSearch {
  push(piece: Uint8Array): void
  /** The next piece does not follow the one before. */
  cut(): void
  found(): string[]
}

const PIECE_BYTES = 16
const PAGE_BYTES = 4096
const zeros = Buffer.alloc(PAGE_BYTES)

/**
 * Canaries as they are, in hexadecimal, base64 and base64url, wherever they begin: their first 16 bytes, their last, and those in
 * the middle, so that one that was half written over is found too. One pass, however many there are.
 */
export function createByteSearch(canaries: readonly Canary[]): ByteSearch {
  const needles = canaries.flatMap(needlesOf)
  const longest = Math.max(...needles.map(({ bytes }) => bytes.length))
  const isBegin = new Uint8Array(1 << 16)
  const byWord = Map.groupBy(needles, ({ bytes }) => bytes.readUInt32LE())
  for (const word of byWord.keys()) isBegin[word & 0xffff] = 1
  const found = new Set<string>()
  let rest: Buffer = Buffer.alloc(0)

  function searchIn(bytes: Buffer): void {
    for (let at = 0; at + 4 <= bytes.length; at++) {
      // Most of the memory of a process was never written to.
      if (at % PAGE_BYTES === 0) while (isZero(bytes, at)) at += PAGE_BYTES
      if (at + 4 > bytes.length) break
      const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8)
      if (isBegin[low] === 0) continue
      for (const needle of byWord.get(bytes.readUInt32LE(at)) ?? []) {
        const end = at + needle.bytes.length
        if (end <= bytes.length && needle.bytes.compare(bytes, at, end) === 0) found.add(needle.what)
      }
    }
  }
  return {
    push(piece) {
      const bytes = Buffer.concat([rest, piece])
      searchIn(bytes)
      rest = Buffer.from(bytes.subarray(Math.max(0, bytes.length - longest + 1)))
    },
    cut() {
      rest = Buffer.alloc(0)
    },
    found: () => [...found].sort(),
  }
}

function isZero(bytes: Buffer, at: number): boolean {
  return at + PAGE_BYTES <= bytes.length && zeros.compare(bytes, at, at + PAGE_BYTES) === 0
}

function needlesOf({ what, bytes }: Canary): { what: string; bytes: Buffer }[] {
  const starts = new Set([0, Math.floor((bytes.length - PIECE_BYTES) / 2), bytes.length - PIECE_BYTES])
  return [...starts].flatMap((start) => {
    const piece = Buffer.from(bytes.subarray(start, start + PIECE_BYTES))
    const hex = piece.toString('hex')
    // Of the three ways in which base64 can fall onto the bytes, the whole groups.
    const texts = [0, 1, 2].flatMap((shift) => {
      const group = piece.subarray(shift, shift + 12)
      return [group.toString('base64'), group.toString('base64url')]
    })
    return [
      { what: `${what} (raw)`, bytes: piece },
      { what: `${what} (hex)`, bytes: Buffer.from(hex) },
      { what: `${what} (hex)`, bytes: Buffer.from(hex.toUpperCase()) },
      ...texts.map((text) => ({ what: `${what} (base64)`, bytes: Buffer.from(text) })),
    ]
  })
}
