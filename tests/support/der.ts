/** A writer of DER of the tests' own, which also writes what is not DER. */
export function der(tag: number, ...contents: Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  return Buffer.concat([Buffer.of(tag), derLength(content.length), content])
}

function derLength(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length)
  if (length < 0x100) return Buffer.of(0x81, length)
  if (length < 0x10000) return Buffer.of(0x82, length >> 8, length & 0xff)
  return Buffer.of(0x83, length >> 16, (length >> 8) & 0xff, length & 0xff)
}

export const derSequence = (...contents: Uint8Array[]) => der(0x30, ...contents)
export const derBoolean = (value: boolean) => der(0x01, Buffer.of(value ? 0xff : 0))
export const derOctets = (...contents: Uint8Array[]) => der(0x04, ...contents)
export const derBits = (bytes: Uint8Array, unusedBits = 0) => der(0x03, Buffer.of(unusedBits), bytes)
export const derEnumerated = (value: number) => der(0x0a, Buffer.of(value))
export const derSet = (...contents: Uint8Array[]) => der(0x31, ...contents)
export const derNull = der(0x05)
export const derText = (text: string) => der(0x0c, Buffer.from(text))

/** Non-negative. */
export function derInteger(value: number | bigint): Buffer {
  const digits = value.toString(16)
  const bytes = Buffer.from(digits.length % 2 === 1 ? `0${digits}` : digits, 'hex')
  return der(0x02, (bytes[0] as number) >= 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes)
}

export function derId(id: string): Buffer {
  const [first = 0, second = 0, ...others] = id.split('.').map(Number)
  return der(0x06, Buffer.from([first * 40 + second, ...others].flatMap(toBase128)))
}

function toBase128(value: number): number[] {
  const digits = [value & 0x7f]
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) digits.unshift(0x80 | (rest & 0x7f))
  return digits
}

/** UTCTime until 2049, GeneralizedTime from then on (RFC 5280 §4.1.2.5). */
export function derTime(at: number): Buffer {
  const digits = new Date(at).toISOString().replace(/\.\d+|[-:T]/g, '')
  return digits < '2050' ? der(0x17, Buffer.from(digits.slice(2))) : der(0x18, Buffer.from(digits))
}

/** `[number] EXPLICIT`, with a tag of one, two or three bytes. */
export function derTagged(number: number, ...contents: Uint8Array[]): Buffer {
  if (number < 0x1f) return der(0xa0 | number, ...contents)
  const digits = toBase128(number)
  const content = Buffer.concat(contents)
  return Buffer.concat([Buffer.of(0xbf, ...digits), derLength(content.length), content])
}

/** With tag and length, as far as they can be read: at least one byte. */
export function derLengthOf([, first = 0, second = 0, third = 0]: Uint8Array): number {
  if (first < 0x80) return 2 + first
  return first === 0x81 ? 3 + second : 4 + (second << 8) + third
}
