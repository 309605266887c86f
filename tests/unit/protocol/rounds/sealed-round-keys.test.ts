import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ProtocolError } from '../../../../protocol/errors.ts'
import { MAX_ROUND_DEVICES, type RoundKey, sealedRoundKeys } from '../../../../protocol/rounds/messages.ts'
import { openRoundKeys, roundKeysContext, sealRoundKeys } from '../../../../protocol/rounds/sealed-round-keys.ts'
import { native as crypto, portable, toUtf8 } from '../../../support/protocol-providers.ts'
import { FEDERATION, idOf, keyOf, ROUND } from '../../../support/round-certificate.ts'

const names = { federationId: FEDERATION, round: ROUND, sessionId: idOf('0002', 99) }
/** As a chain does: the same key for the same context, and a new array each time. */
const deriveSealKey = (context: Uint8Array): Uint8Array => Uint8Array.from(crypto.hash512(context))
const makeKeys = (count: number): RoundKey[] =>
  Array.from({ length: count }, (_, number) => ({
    deviceId: idOf('0001', number),
    sessionId: idOf('0002', number),
    epoch: 5_984_394 + (number % 2),
    key: keyOf(crypto, number),
  }))
const seal = (keys: readonly RoundKey[]) => sealRoundKeys(crypto, names, deriveSealKey, keys)

describe('sealed round keys', () => {
  it.each([0, 1, 2, 7])('open to what was sealed, with either provider: %i of them', (count) => {
    const sealed = seal(makeKeys(count))
    for (const provider of [crypto, portable]) {
      expect(openRoundKeys(provider, names, deriveSealKey, sealed)).toEqual(makeKeys(count))
    }
  })

  it('are the JSON of the protocol, under the first half of the key and the context as additional data', () => {
    const { nonce, ciphertext, sessionId } = seal(makeKeys(2))
    const context = roundKeysContext(FEDERATION, ROUND, nonce)
    const plaintext = crypto.openAesGcm(deriveSealKey(context).subarray(0, 32), nonce, ciphertext, context)
    const keys = makeKeys(2).map((key) => ({ ...key, key: Buffer.from(key.key).toString('base64url') }))
    expect(new TextDecoder().decode(plaintext)).toBe(JSON.stringify({ keys }))
    expect(sessionId).toBe(names.sessionId)
  })

  it('are never sealed twice under one key', () => {
    const nonces = Array.from({ length: 50 }, () => Buffer.from(seal([]).nonce).toString('hex'))
    expect(new Set(nonces).size).toBe(nonces.length)
  })

  it('do not open for another federation, round or key, nor with any bit changed', () => {
    const sealed = seal(makeKeys(1))
    const refused = expect.objectContaining({ code: 'ciphertext_invalid' })
    const open =
      (of: typeof sealed, by = names, derive = deriveSealKey) =>
      () =>
        openRoundKeys(crypto, by, derive, of)
    expect(open(sealed, { ...names, round: ROUND + 1 })).toThrow(refused)
    expect(open(sealed, { ...names, federationId: idOf('0009', 1) })).toThrow(refused)
    expect(open(sealed, names, (context) => crypto.hash512(Uint8Array.of(...context, 0)))).toThrow(refused)
    fc.assert(
      fc.property(fc.nat({ max: (sealed.ciphertext.length + 12) * 8 - 1 }), (bit) => {
        const bytes = Uint8Array.of(...sealed.nonce, ...sealed.ciphertext)
        bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
        expect(open({ ...sealed, nonce: bytes.slice(0, 12), ciphertext: bytes.slice(12) })).toThrow(refused)
      }),
      { numRuns: 100 },
    )
  })

  it.each(['', 'no JSON', '[]', '{}', '{"keys":[{}]}', '{"keys":[],"more":1}'])(
    'are refused when %j was sealed, and the refusal quotes nothing of it',
    (text) => {
      const { nonce } = seal([])
      const context = roundKeysContext(FEDERATION, ROUND, nonce)
      const key = deriveSealKey(context).subarray(0, 32)
      const ciphertext = crypto.sealAesGcm(key, nonce, toUtf8(text), context)
      const open = () => openRoundKeys(crypto, names, deriveSealKey, { nonce, ciphertext })
      expect(open).toThrow(
        expect.toSatisfy((error: ProtocolError) => error.code === 'ciphertext_invalid' && error.cause === undefined),
      )
    },
  )

  it('leave no key of the seal behind, and those of the devices to the caller', () => {
    const given: Uint8Array[] = []
    const deriveAndKeep = (context: Uint8Array) => {
      const key = deriveSealKey(context)
      given.push(key)
      return key
    }
    const keys = makeKeys(2)
    const sealed = sealRoundKeys(crypto, names, deriveAndKeep, keys)
    openRoundKeys(crypto, names, deriveAndKeep, sealed)
    expect(given.map((key) => key.some((byte) => byte !== 0))).toEqual([false, false])
    expect(keys).toEqual(makeKeys(2))
  })

  it('fit their message, as many as one call may ask for, with the longest epoch', () => {
    const [key] = makeKeys(1) as [RoundKey]
    const many = Array.from({ length: MAX_ROUND_DEVICES }, () => ({ ...key, epoch: Number.MAX_SAFE_INTEGER }))
    const { sessionId, nonce, ciphertext } = seal(many)
    const wire = { sessionId, nonce: toText(nonce), ciphertext: toText(ciphertext) }
    expect(sealedRoundKeys.parse(wire).ciphertext).toHaveLength(ciphertext.length)
    expect(sealedRoundKeys.safeParse({ ...wire, ciphertext: toText(new Uint8Array(15)) }).success).toBe(false)
    expect(sealedRoundKeys.safeParse({ ...wire, ciphertext: 'A'.repeat(3_500_000) }).success).toBe(false)
  })
})

const toText = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64url')
