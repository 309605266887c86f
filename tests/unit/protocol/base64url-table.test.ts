import fc from 'fast-check'
import { expect, test } from 'vitest'
import { decodeByTable, encodeByTable } from '../../../protocol/base64url-table.ts'
import { fromBase64url, toBase64url } from '../../../protocol/encoding.ts'

test('without native base64 a runtime writes and reads the same text', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const text = encodeByTable(bytes)
      expect(text).toBe(toBase64url(bytes))
      expect(decodeByTable(text)).toEqual(bytes)
      expect(fromBase64url(text)).toEqual(bytes)
    }),
  )
})

test('without native base64 a runtime refuses every character outside the alphabet', () => {
  for (const text of ['AA==', 'A+AA', 'A/AA', 'AA A', 'AAA\n', 'AAAé', '\uFEFFAAA']) {
    expect(decodeByTable(text), JSON.stringify(text)).toBeUndefined()
    expect(() => fromBase64url(text)).toThrow('base64url')
  }
})
