import { describe, expect, test } from 'vitest'
import { verifyCheckpoint } from '../../../../protocol/log/checkpoint.ts'
import { formatRetiredKey, parseVerifierKey, type VerifierKey } from '../../../../protocol/log/verifier-key.ts'
import { makeMemoryLog, makeSigner, ORIGIN, SIGNED_AT, signCheckpoint } from '../../../support/memory-log.ts'
import { native as crypto } from '../../../support/protocol-providers.ts'

const old = makeSigner(crypto, 'cosignature', ORIGIN, 'old')
const young = makeSigner(crypto, 'cosignature', ORIGIN, 'young')
const second = makeSigner(crypto, 'mlDsa87')
const signedAt = SIGNED_AT * 1000
const head = { origin: ORIGIN, size: 1, root: makeMemoryLog(crypto, ['x'], [old]).root(1) }
const valid = (by: VerifierKey, notBefore: number, notAfter: number): VerifierKey => ({
  ...by,
  validity: { notBefore, notAfter },
})

describe('a key of the log', () => {
  test.each([
    ['on its last millisecond', signedAt - 1, signedAt],
    ['on its first', signedAt, signedAt + 1],
  ])('signs %s', (_, notBefore, notAfter) => {
    const text = signCheckpoint(head, [old])
    expect(verifyCheckpoint(crypto, text, { log: [valid(old.by, notBefore, notAfter)] }).signedAt).toBe(signedAt)
  })

  test.each([
    ['after its end', 0, signedAt - 1],
    ['before its beginning', signedAt + 1, signedAt + 2],
  ])('signs nothing %s', (_, notBefore, notAfter) => {
    const text = signCheckpoint(head, [old])
    const verify = () => verifyCheckpoint(crypto, text, { log: [valid(old.by, notBefore, notAfter)] })
    expect(verify).toThrow(/may not have signed then/)
  })

  test('that ended does not make a checkpoint bad which its successor signed too, and does not say how new it is', () => {
    const text = signCheckpoint(head, [young]).concat(`${old.line(head, SIGNED_AT + 60)}\n`)
    const log = [valid(old.by, 0, signedAt), young.by]
    const { signatures, signedAt: at } = verifyCheckpoint(crypto, text, { log })
    expect(signatures.map(({ by }) => by.keyId)).toEqual([young.by.keyId])
    expect(at).toBe(signedAt)
  })

  test('without a time in its line is held against that of the line beside it', () => {
    const text = signCheckpoint(head, [old, second])
    expect(verifyCheckpoint(crypto, text, { log: [old.by, valid(second.by, 0, signedAt)] }).signatures).toHaveLength(2)
    const verify = () => verifyCheckpoint(crypto, text, { log: [old.by, valid(second.by, 0, signedAt - 1)] })
    expect(verify).toThrow(/ML-DSA-87\) that may not have signed then/)
  })
})

describe('the line of a retired key', () => {
  test('says until when it signed', () => {
    const line = formatRetiredKey(old.by, signedAt)
    expect(line).toBe(`${old.vkey} until ${new Date(signedAt).toISOString()}`)
    expect(parseVerifierKey(crypto, line).validity).toEqual({ notBefore: 0, notAfter: signedAt })
    expect(parseVerifierKey(crypto, old.vkey).validity).toBeUndefined()
  })

  test.each([
    'until',
    'until yesterday',
    'until 2027',
    'until 2027-13-01T00:00:00Z',
    'until 2027-01-01T00:00:00',
    'from now',
  ])('with the end "%s" is none', (end) => {
    expect(() => parseVerifierKey(crypto, `${old.vkey} ${end}`)).toThrow(
      expect.objectContaining({ code: 'key_invalid' }),
    )
  })
})
