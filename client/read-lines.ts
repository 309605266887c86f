import { concatenate } from '../protocol/encoding.ts'
import { ProtocolError } from '../protocol/errors.ts'

/** Four times the longest entry (65,535 bytes) as JSON with its hash; a checkpoint of 32 signatures of ML-DSA-87 fits too. */
const MAX_LINE_BYTES = 256 << 10
const NEWLINE = 0x0a

/**
 * The lines of an export, without their ends. Attacker-controlled input: never more than one line and one piece is held. A piece
 * may be written over once the next is asked for. Throws `log_invalid` for a line that is longer than 262,144 bytes, not UTF-8 or
 * without an end.
 */
export async function* readLines(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  let rest: Uint8Array = new Uint8Array(0)
  for await (const piece of pieces) {
    let bytes = piece
    if (rest.length > 0) bytes = concatenate([rest, piece])
    let start = 0
    for (let end = bytes.indexOf(NEWLINE); end >= 0; end = bytes.indexOf(NEWLINE, start)) {
      yield decode(utf8, bytes.subarray(start, end))
      start = end + 1
    }
    // Not `slice`, which of a Buffer is no copy.
    rest = new Uint8Array(bytes.subarray(start))
    requireLength(rest)
  }
  if (rest.length > 0) throw new ProtocolError('log_invalid', 'It ends in the middle of a line.')
}

function decode(utf8: TextDecoder, line: Uint8Array): string {
  requireLength(line)
  try {
    return utf8.decode(line)
  } catch (cause) {
    throw new ProtocolError('log_invalid', 'A line of the export is not UTF-8.', { cause })
  }
}

function requireLength(line: Uint8Array): void {
  if (line.length > MAX_LINE_BYTES) {
    throw new ProtocolError('log_invalid', `A line of the export is longer than ${MAX_LINE_BYTES} bytes.`)
  }
}
