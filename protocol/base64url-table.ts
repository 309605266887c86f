const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const alphabetCodes = new TextEncoder().encode(alphabet)
const INVALID = 255
const sextets = new Uint8Array(128).fill(INVALID)
for (let i = 0; i < 64; i++) sextets[alphabetCodes[i] as number] = i
const latin1 = new TextDecoder('latin1')

/** What a character of base64url stands for, 0 to 63; undefined for every other character. */
export function sextetOf(code: number): number | undefined {
  const sextet = code < 128 ? (sextets[code] as number) : INVALID
  return sextet === INVALID ? undefined : sextet
}

/** For runtimes without `Uint8Array.prototype.toBase64`: base64url without padding (RFC 4648 §5). */
export function encodeByTable(bytes: Uint8Array): string {
  const text = new Uint8Array(Math.ceil((bytes.length * 4) / 3))
  writeBase64url(bytes, text)
  return latin1.decode(text)
}

/** The text as bytes, which can be wiped: base64url of what is secret. Answers how many; `target` has room for them. */
export function writeBase64url(bytes: Uint8Array, target: Uint8Array): number {
  const length = Math.ceil((bytes.length * 4) / 3)
  let at = 0
  for (let i = 0; i < bytes.length; i += 3) {
    const triple = ((bytes[i] as number) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0)
    for (let shift = 18; shift >= 0 && at < length; shift -= 6) {
      target[at++] = alphabetCodes[(triple >> shift) & 63] as number
    }
  }
  return length
}

/** For runtimes without `Uint8Array.fromBase64`: undefined where a character is not of the alphabet. Bits left over are dropped. */
export function decodeByTable(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4))
  let bits = 0
  let bitCount = 0
  let at = 0
  for (let i = 0; i < text.length; i++) {
    const sextet = sextetOf(text.charCodeAt(i))
    if (sextet === undefined) return undefined
    bits = ((bits << 6) | sextet) & 0xffff
    bitCount += 6
    if (bitCount >= 8) {
      bitCount -= 8
      bytes[at++] = (bits >> bitCount) & 0xff
    }
  }
  return bytes
}
