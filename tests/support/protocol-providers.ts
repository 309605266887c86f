import { ProtocolError, type ProtocolErrorCode } from '../../protocol/errors.ts'
import { createNativePrimitives } from '../../protocol/primitives/native.ts'
import { createPortablePrimitives } from '../../protocol/primitives/portable.ts'

export const native = createNativePrimitives()
export const portable = createPortablePrimitives()
export const providers = [native, portable]

/** The refusal of `action`, which must be a ProtocolError: any other error is a bug and comes through. */
export function refusalOf(action: () => unknown): { code: ProtocolErrorCode; message: string } {
  try {
    action()
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return { code: error.code, message: error.message }
  }
  throw new Error('Nothing was refused.')
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

export function toUtf8(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** A copy with one bit turned; bit 0 is the highest of the first byte. */
export function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = Uint8Array.from(bytes)
  const at = bit >> 3
  copy[at] = (copy[at] as number) ^ (0x80 >> (bit & 7))
  return copy
}

/** The same bytes inside a larger Buffer, at an offset that is no multiple of eight. */
export function asSlice(bytes: Uint8Array): Buffer {
  const whole = Buffer.alloc(bytes.length + 24, 0xa5)
  whole.set(bytes, 13)
  return whole.subarray(13, 13 + bytes.length)
}
