import { expect } from 'vitest'
import { type Corim, type CorimReading, readCorim } from '../../../protocol/attestation/corim/read-corim.ts'
import { type CorimChanges, corimNow, makeCorim } from './corim.ts'

export function readBytesOf(bytes: Uint8Array, options: Partial<CorimReading> = {}): Corim {
  return readCorim(bytes, { now: corimNow, signer: undefined, unverified: false, partial: false, ...options })
}

export function readMade(changes: CorimChanges, options: Partial<CorimReading> = {}): Corim {
  return readBytesOf(makeCorim(changes), options)
}

/** With `what` in its message. */
export function expectInvalid(read: () => unknown, what: string | RegExp): void {
  expect(read).toThrow(
    expect.objectContaining({
      code: 'corim_invalid',
      message: typeof what === 'string' ? expect.stringContaining(what) : expect.stringMatching(what),
    }),
  )
}
