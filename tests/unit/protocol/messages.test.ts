import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { toBase64url } from '../../../protocol/encoding.ts'
import { enrollmentCompletion } from '../../../protocol/enrollment.ts'
import {
  bucketCertificate,
  bucketsAnswer,
  confirmRequest,
  exchangeAnswer,
  exchangeRequest,
  tokenRequest,
} from '../../../protocol/exchange/messages.ts'
import { makeDevice, makeServer, startExchange } from '../../support/protocol-exchange.ts'
import { native as crypto, toHex } from '../../support/protocol-providers.ts'

const text = (length: number) => toBase64url(new Uint8Array(length).fill(7))
const uuid = '0197b2f0-5c1e-7c3a-9d44-2f6f8f6b1a10'

const request = {
  deviceId: uuid,
  suite: 'ML-KEM-1024',
  bucket: 5_984_394,
  nonce: text(32),
  clientKey: text(1568),
  ciphertext: text(1568),
  signature: text(2420),
}
const answer = { sessionId: uuid, nonce: text(32), ciphertext: text(1568), expiresAt: 1, confirmation: text(64) }
const certificate = {
  suite: 'ML-KEM-1024',
  bucket: 1,
  notBefore: 300_000,
  notAfter: 600_000,
  publicKey: text(1568),
  kid: text(16),
  signature: text(4627),
}
const completion = {
  name: 'edge-node-001',
  kind: 'device',
  identityKey: { alg: 'ML-DSA-44', publicKey: text(1312) },
  evidence: [{ format: 'none' }],
  metadata: { site: 'A' },
  signature: text(2420),
}
const messages = [
  { name: 'exchangeRequest', schema: exchangeRequest, valid: request },
  { name: 'exchangeAnswer', schema: exchangeAnswer, valid: answer },
  { name: 'bucketCertificate', schema: bucketCertificate, valid: certificate },
  { name: 'bucketsAnswer', schema: bucketsAnswer, valid: { certificates: [certificate], graceMs: 1, skewMs: 1 } },
  { name: 'confirmRequest', schema: confirmRequest, valid: { deviceId: uuid, confirmation: text(64) } },
  { name: 'tokenRequest', schema: tokenRequest, valid: { deviceId: uuid, epoch: 0, nonce: text(32), proof: text(64) } },
  { name: 'enrollmentCompletion', schema: enrollmentCompletion, valid: completion },
] as const

describe.each(messages)('$name', ({ schema, valid }) => {
  const isRead = (message: unknown) => (schema as z.ZodType).safeParse(message).success

  it('is read when it is whole', () => {
    expect(isRead(valid)).toBe(true)
  })

  it('is refused with an unknown member', () => {
    expect(isRead({ ...valid, note: 1 })).toBe(false)
    expect(isRead({ ...valid, constructor: 1 })).toBe(false)
  })

  it('is refused without any one of its members', () => {
    for (const name of Object.keys(valid).filter((member) => member !== 'metadata')) {
      const rest = Object.fromEntries(Object.entries(valid).filter(([member]) => member !== name))
      expect(isRead(rest), name).toBe(false)
    }
  })

  it('is refused when it is no object', () => {
    for (const other of [null, [], [valid], 'text', 1, undefined]) expect(isRead(other)).toBe(false)
  })

  it('takes binary members in strict base64url of their length only', () => {
    for (const [name, value] of Object.entries(valid)) {
      if (typeof value !== 'string' || value.length < 43) continue
      for (const wrong of [
        `${value}=`,
        ` ${value}`,
        `${value}\n`,
        value.slice(1),
        value.slice(4),
        `${value}AAAA`,
        '',
      ]) {
        expect(isRead({ ...valid, [name]: wrong }), `${name}: ${wrong.slice(-8)}`).toBe(false)
      }
      expect(isRead({ ...valid, [name]: `+${value.slice(1)}` }), name).toBe(false)
    }
  })
})

describe('a message', () => {
  const isRequest = (changed: object) => exchangeRequest.safeParse({ ...request, ...changed }).success

  it('takes times and counts that are exact integers only', () => {
    for (const bucket of [-1, 0.5, 2 ** 53, Number.NaN, '1', null]) expect(isRequest({ bucket })).toBe(false)
    for (const bucket of [0, Number.MAX_SAFE_INTEGER]) expect(isRequest({ bucket })).toBe(true)
  })

  it('takes no suite but the one that exists', () => {
    for (const suite of ['ML-KEM-768', 'ml-kem-1024', '', 'MLKEM1024-P384', '__proto__']) {
      expect(isRequest({ suite })).toBe(false)
    }
  })

  it('takes ids in canonical text only', () => {
    for (const deviceId of [uuid.toUpperCase(), `{${uuid}}`, uuid.replaceAll('-', '')]) {
      expect(isRequest({ deviceId })).toBe(false)
    }
  })

  it('takes signatures of the three lengths that exist, and non-zero trailing bits in none', () => {
    for (const length of [2420, 3309, 4627]) expect(isRequest({ signature: text(length) })).toBe(true)
    for (const length of [0, 2419, 2421, 3308, 4626, 4628, 64]) {
      expect(isRequest({ signature: text(length) })).toBe(false)
    }
    expect(isRequest({ signature: `${text(2420).slice(0, -1)}d` })).toBe(false)
  })

  it('written and read again is the same, bytes and all', () => {
    const { initiated, responded } = startExchange(crypto, makeDevice(crypto), makeServer(crypto))
    const throughJson = <S extends z.ZodType>(schema: S, value: z.output<S>) =>
      schema.parse(JSON.parse(JSON.stringify(z.encode(schema, value))))
    const read = throughJson(exchangeRequest, initiated.request)
    expect(toHex(read.clientKey)).toBe(toHex(initiated.request.clientKey))
    expect(toHex(read.signature)).toBe(toHex(initiated.request.signature))
    const readAnswer = throughJson(exchangeAnswer, responded.answer)
    expect(toHex(readAnswer.confirmation)).toBe(toHex(responded.answer.confirmation))
    expect(readAnswer.sessionId).toBe(responded.answer.sessionId)
  })
})

describe('an enrolment', () => {
  const isRead = (changed: object) => enrollmentCompletion.safeParse({ ...completion, ...changed }).success

  it.each([
    'a\u0000',
    'a\n',
    '\u200b',
    '\u202e',
    '\ud800',
    '',
    'n'.repeat(129),
    '😀'.repeat(129),
    // A joiner, a soft hyphen, a byte order mark, private use, unassigned: docs/protocol.md §3.
    '👨\u200d👩',
    'a\u00adb',
    '\ufeffa',
    'a\ue000',
    'a\u0378',
  ])('refuses the name %j', (name) => {
    expect(isRead({ name })).toBe(false)
  })

  it.each(['a', 'Gerät 7', '日本', 'n'.repeat(128), '😀'.repeat(128)])('takes the name %j', (name) => {
    expect(isRead({ name })).toBe(true)
  })

  it('takes one to eight pieces of evidence', () => {
    const evidence = (count: number) => ({ evidence: Array.from({ length: count }, () => ({ format: 'none' })) })
    expect([0, 1, 8, 9].map((count) => isRead(evidence(count)))).toEqual([false, true, true, false])
  })

  it('refuses evidence that is nested without end, and does not fall over it', () => {
    const depth = 20_000
    const nested: unknown = JSON.parse(`${'['.repeat(depth)}${']'.repeat(depth)}`)
    expect(isRead({ evidence: [{ format: 'none', claims: nested }] })).toBe(false)
  })

  it('takes the two kinds of principal and no other', () => {
    expect(['device', 'coordinator', 'operator', ''].map((kind) => isRead({ kind }))).toEqual([
      true,
      true,
      false,
      false,
    ])
  })
})
