/** Bytes that must not be found: 16 at least. */
export interface Canary {
  what: string
  bytes: Uint8Array
}

/** Finds what of the canaries stands in a stream of bytes, given piece by piece. */
export interface ByteSearch {
  push(piece: Uint8Array): void
  /** The next piece does not follow the one before, and stands at this place. */
  cut(place?: string): void
  /** What was found, each once. */
  found(): string[]
  /** The same, each with the first place where it stands: for who has to know why. */
  foundAt(): string[]
}

const PIECE_BYTES = 16
/** What is left of a canary is found when it has so many bytes more than a piece. */
const STRIDE_BYTES = 8
const PAGE_BYTES = 4096
const zeros = Buffer.alloc(PAGE_BYTES)

/**
 * Canaries as they are, in hexadecimal, base64 and base64url, in texts of one byte a character and of two, wherever they begin: every piece of 16 bytes that begins at a multiple
 * of eight, and the last, so that one that was half written over is found too. One pass, however many there are.
 */
export function createByteSearch(canaries: readonly Canary[]): ByteSearch {
  const needles = canaries.flatMap(needlesOf)
  const longest = needles.reduce((most, { bytes }) => Math.max(most, bytes.length), 0)
  const isBegin = new Uint8Array(1 << 24)
  const byWord = Map.groupBy(needles, ({ bytes }) => bytes.readUInt32LE())
  for (const word of byWord.keys()) isBegin[word & 0xff_ff_ff] = 1
  const found = new Map<string, string>()
  let rest: Buffer = Buffer.alloc(0)
  let place = ''
  let passed = 0

  function searchIn(bytes: Buffer): void {
    for (let at = 0; at + 4 <= bytes.length; at++) {
      // Most of the memory of a process was never written to.
      if (at % PAGE_BYTES === 0) while (isZero(bytes, at)) at += PAGE_BYTES
      if (at + 4 > bytes.length) break
      const begin = (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16)
      if (isBegin[begin] === 0) continue
      for (const needle of byWord.get(bytes.readUInt32LE(at)) ?? []) {
        const end = at + needle.bytes.length
        if (end > bytes.length || needle.bytes.compare(bytes, at, end) !== 0 || found.has(needle.what)) continue
        found.set(needle.what, `${place} + ${(passed - rest.length + at).toString(16)}: from byte ${needle.from}`)
      }
    }
  }
  return {
    push(piece) {
      const bytes = Buffer.concat([rest, piece])
      searchIn(bytes)
      passed += piece.length
      rest = Buffer.from(bytes.subarray(Math.max(0, bytes.length - longest + 1)))
    },
    cut(nextPlace = '') {
      rest = Buffer.alloc(0)
      place = nextPlace
      passed = 0
    },
    found: () => [...found.keys()].sort(),
    foundAt: () => [...found].map(([what, where]) => `${what} at ${where}`).sort(),
  }
}

function isZero(bytes: Buffer, at: number): boolean {
  return at + PAGE_BYTES <= bytes.length && zeros.compare(bytes, at, at + PAGE_BYTES) === 0
}

function needlesOf({ what, bytes }: Canary): { what: string; from: number; bytes: Buffer }[] {
  const last = bytes.length - PIECE_BYTES
  const starts = new Set([...Array.from({ length: Math.ceil(last / STRIDE_BYTES) }, (_, i) => i * STRIDE_BYTES), last])
  return [...starts].flatMap((from) => {
    const piece = Buffer.from(bytes.subarray(from, from + PIECE_BYTES))
    const hex = piece.toString('hex')
    // Of the three ways in which base64 can fall onto the bytes, the whole groups.
    const texts = [0, 1, 2].flatMap((shift) => {
      const group = piece.subarray(shift, shift + 12)
      return [group.toString('base64'), group.toString('base64url')]
    })
    const written: [form: string, text: string][] = [
      ['raw', piece.toString('latin1')],
      ['hex', hex],
      ['hex', hex.toUpperCase()],
      ...texts.map((text): [string, string] => ['base64', text]),
    ]
    return written.flatMap(([form, text]) =>
      (['latin1', 'utf16le'] as const).map((encoding) => ({
        what: `${what} (${form})`,
        from,
        bytes: Buffer.from(text, encoding),
      })),
    )
  })
}
