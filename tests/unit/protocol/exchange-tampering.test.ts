import { describe, expect, it } from 'vitest'
import { uuidFromBytes, uuidToBytes } from '../../../protocol/encoding.ts'
import { BUCKET_MS } from '../../../protocol/exchange/bucket.ts'
import { acceptAnswer } from '../../../protocol/exchange/initiate.ts'
import type { BucketCertificate, ExchangeAnswer, ExchangeRequest } from '../../../protocol/exchange/messages.ts'
import { respondToExchange } from '../../../protocol/exchange/respond.ts'
import { initiateHash, respondHash, sessionIdOf } from '../../../protocol/exchange/transcript.ts'
import { type Suite, signatureContexts } from '../../../protocol/suites.ts'
import {
  answerRequest,
  bucketStart,
  copyOf,
  expiresAt,
  makeDevice,
  makeServer,
  seedOf,
  startExchange,
  type TestServer,
} from '../../support/protocol-exchange.ts'
import { native as crypto, flipBit, refusalOf, toHex } from '../../support/protocol-providers.ts'

const server = makeServer(crypto)
const device = makeDevice(crypto)
const { initiated, responded } = startExchange(crypto, device, server)
const { request, th1 } = initiated
const { answer } = responded
const identity = crypto.importVerificationKey(device.identityKey.alg, device.identityKey.publicKey)

const flipText = (text: string, bit: number) => Buffer.from(flipBit(Buffer.from(text), bit)).toString('latin1')
const flipUuid = (uuid: string, bit: number) => uuidFromBytes(flipBit(uuidToBytes(uuid), bit))
/** Of an integer below 2^53: bit 0 is the lowest. */
const flipInteger = (value: number, bit: number) => Number(BigInt(value) ^ (1n << BigInt(bit)))

describe('th1 is another, and the signature over the first no longer verifies, for every flipped bit of', () => {
  const ofRequest = (changed: Partial<ExchangeRequest>) =>
    initiateHash(crypto, { ...request, ...changed }, server.certificate)
  const ofCertificate = (changed: Partial<BucketCertificate>) =>
    initiateHash(crypto, request, { ...server.certificate, ...changed })
  const { certificate } = server
  const { suite, deviceId, bucket, nonce, clientKey, ciphertext } = request

  it.each<[string, number, (bit: number) => Uint8Array]>([
    ['the suite', suite.length * 8, (bit) => ofRequest({ suite: flipText(suite, bit) as Suite })],
    ['the device id', 128, (bit) => ofRequest({ deviceId: flipUuid(deviceId, bit) })],
    ['the bucket', 53, (bit) => ofRequest({ bucket: flipInteger(bucket, bit) })],
    ['the nonce', 256, (bit) => ofRequest({ nonce: flipBit(nonce, bit) })],
    ['the client key', 12_544, (bit) => ofRequest({ clientKey: flipBit(clientKey, bit) })],
    ['the ciphertext', 12_544, (bit) => ofRequest({ ciphertext: flipBit(ciphertext, bit) })],
    ['the certificate’s suite', suite.length * 8, (bit) => ofCertificate({ suite: flipText(suite, bit) as Suite })],
    ['its bucket', 53, (bit) => ofCertificate({ bucket: flipInteger(certificate.bucket, bit) })],
    ['its notBefore', 53, (bit) => ofCertificate({ notBefore: flipInteger(certificate.notBefore, bit) })],
    ['its notAfter', 53, (bit) => ofCertificate({ notAfter: flipInteger(certificate.notAfter, bit) })],
    ['its kid', 22 * 8, (bit) => ofCertificate({ kid: flipText(certificate.kid, bit) })],
    ['its bucket key', 12_544, (bit) => ofCertificate({ publicKey: flipBit(certificate.publicKey, bit) })],
  ])('%s', (_, bits, hashWithout) => {
    const hashes = new Set([toHex(th1)])
    for (let bit = 0; bit < bits; bit++) {
      const changed = hashWithout(bit)
      hashes.add(toHex(changed))
      const isSampled = bits < 1000 || bit % 61 === 0
      if (isSampled && identity.verify(changed, signatureContexts.exchange, request.signature)) {
        throw new Error(`Bit ${bit} is not signed.`)
      }
    }
    expect(hashes.size).toBe(bits + 1)
  })

  it('nothing: the signature verifies over th1 itself', () => {
    expect(identity.verify(th1, signatureContexts.exchange, request.signature)).toBe(true)
  })
})

describe('th2 is another for every flipped bit of', () => {
  const { signature } = request
  const ofAnswer = (changed: Partial<ExchangeAnswer>) => respondHash(crypto, th1, signature, { ...answer, ...changed })

  it.each<[string, number, (bit: number) => Uint8Array]>([
    ['th1', 512, (bit) => respondHash(crypto, flipBit(th1, bit), signature, answer)],
    ['the signature', signature.length * 8, (bit) => respondHash(crypto, th1, flipBit(signature, bit), answer)],
    ['the session id', 128, (bit) => ofAnswer({ sessionId: flipUuid(answer.sessionId, bit) })],
    ['the nonce', 256, (bit) => ofAnswer({ nonce: flipBit(answer.nonce, bit) })],
    ['the ciphertext', 12_544, (bit) => ofAnswer({ ciphertext: flipBit(answer.ciphertext, bit) })],
    ['expiresAt', 53, (bit) => ofAnswer({ expiresAt: flipInteger(answer.expiresAt, bit) })],
  ])('%s', (_, bits, hashWithout) => {
    const hashes = new Set([toHex(respondHash(crypto, th1, signature, answer))])
    for (let bit = 0; bit < bits; bit++) hashes.add(toHex(hashWithout(bit)))
    expect(hashes.size).toBe(bits + 1)
  })
})

const refused = {
  code: 'confirmation_invalid',
  message: 'The confirmation is not the server’s: the answer was refused.',
}
const endRefused = 'The session would end at a time that no session ends: the answer was refused.'
const refusalFor = (received: ExchangeAnswer) => refusalOf(() => acceptAnswer(crypto, copyOf(initiated), received))

describe('a device refuses an answer with', () => {
  it.each<[string, number, number, (bit: number) => Partial<ExchangeAnswer>]>([
    ['confirmation', 512, 1, (bit) => ({ confirmation: flipBit(answer.confirmation, bit) })],
    ['session id', 128, 1, (bit) => ({ sessionId: flipUuid(answer.sessionId, bit) })],
    ['expiry', 53, 1, (bit) => ({ expiresAt: flipInteger(answer.expiresAt, bit) })],
    ['nonce', 256, 1, (bit) => ({ nonce: flipBit(answer.nonce, bit) })],
    // 9: one bit of almost every byte, each of the eight in turn.
    ['ciphertext', 12_544, 9, (bit) => ({ ciphertext: flipBit(answer.ciphertext, bit) })],
  ])('a flipped bit of its %s', (_, bits, step, change) => {
    for (let bit = 0; bit < bits; bit += step) expect(refusalFor({ ...answer, ...change(bit) })).toEqual(refused)
    expect(acceptAnswer(crypto, copyOf(initiated), answer).sessionId).toBe(answer.sessionId)
  })

  it('a confirmation that is shorter, longer, empty or all zero', () => {
    for (const length of [0, 32, 63, 65]) {
      const confirmation = new Uint8Array(length)
      confirmation.set(answer.confirmation.subarray(0, length))
      expect(refusalFor({ ...answer, confirmation })).toEqual(refused)
    }
    expect(refusalFor({ ...answer, confirmation: new Uint8Array(64) })).toEqual(refused)
  })

  it('the confirmation that the device itself has to send', () => {
    const { deviceConfirmation } = acceptAnswer(crypto, copyOf(initiated), answer)
    expect(refusalFor({ ...answer, confirmation: deviceConfirmation })).toEqual(refused)
  })

  it.each([
    ['before its bucket', bucketStart - 1, false],
    ['when its bucket begins', bucketStart, false],
    ['right after it', bucketStart + 1, true],
    ['after 17 buckets', bucketStart + 17 * BUCKET_MS, true],
    ['later than that', bucketStart + 17 * BUCKET_MS + 1, false],
    ['in a thousand years, until which it would ratchet', bucketStart + 3.2e13, false],
  ])('an end %s, though its confirmation is right', (_, end, isTaken) => {
    const clientKey = crypto.importEncapsulationKey(request.suite, request.clientKey)
    const { sessionId } = answer
    const { bucketKey } = server
    const other = respondToExchange(crypto, { request, th1, sessionId, clientKey, bucketKey, expiresAt: end })
    const accept = () => acceptAnswer(crypto, copyOf(initiated), other.answer)
    if (isTaken) expect(accept().expiresAt).toBe(end)
    else expect(refusalOf(accept)).toEqual({ code: 'confirmation_invalid', message: endRefused })
  })

  it('a session id that does not follow from th1, though its confirmation is right', () => {
    const clientKey = crypto.importEncapsulationKey(request.suite, request.clientKey)
    for (const sessionId of [flipUuid(answer.sessionId, 127), sessionIdOf(request.bucket + 1, th1)]) {
      const { bucketKey } = server
      const other = respondToExchange(crypto, { request, th1, sessionId, clientKey, bucketKey, expiresAt })
      expect(refusalFor(other.answer)).toEqual(refused)
    }
  })

  it('the device’s own ciphertext or nonce reflected', () => {
    expect(refusalFor({ ...answer, ciphertext: request.ciphertext })).toEqual(refused)
    expect(refusalFor({ ...answer, nonce: request.nonce })).toEqual(refused)
    expect(refusalFor({ ...answer, ciphertext: request.ciphertext, nonce: request.nonce })).toEqual(refused)
  })

  it('an answer by someone who has every signing key but not the bucket key', () => {
    const bucketKey = crypto.importDecapsulationKey('ML-KEM-1024', seedOf(crypto, 'impostor', 64))
    const impostor = { ...server, bucketKey }
    expect(refusalFor(answerRequest(crypto, impostor, device.identityKey, request).answer)).toEqual(refused)
  })
})

describe('a server', () => {
  const respond = (changed: Partial<ExchangeRequest>, by: TestServer = server, id = device.identityKey) =>
    answerRequest(crypto, by, id, { ...request, ...changed })

  it('refuses a request into which its own answer was reflected', () => {
    expect(() => respond({ ciphertext: answer.ciphertext })).toThrow('Signature refused.')
    expect(() => respond({ nonce: answer.nonce })).toThrow('Signature refused.')
  })

  it('refuses the message of one device under the id or the key of another', () => {
    const other = makeDevice(crypto, 2)
    expect(() => respond({ deviceId: other.deviceId })).toThrow('Signature refused.')
    expect(() => respond({}, server, other.identityKey)).toThrow('Signature refused.')
  })

  it('refuses a request that was made for the bucket, or the certificate, of another server', () => {
    expect(() => respond({}, makeServer(crypto, 'another'))).toThrow('Signature refused.')
    expect(() => respond({}, makeServer(crypto, 'server', request.bucket + 1))).toThrow('Signature refused.')
  })

  it('gives a replayed request the same session id, so that the second is seen', () => {
    const replayed = respond({})
    expect(replayed.answer.sessionId).toBe(answer.sessionId)
    expect(toHex(replayed.chain)).not.toBe(toHex(responded.chain))
  })

  it('expects from no two exchanges the same confirmation', () => {
    const replayed = respond({})
    expect(toHex(replayed.expectedConfirmation)).not.toBe(toHex(responded.expectedConfirmation))
  })
})

describe('crossed answers', () => {
  const parts = ['sessionId', 'nonce', 'ciphertext', 'expiresAt', 'confirmation'] as const

  it.each([
    ['of two exchanges that one device has open', device],
    ['of two devices', makeDevice(crypto, 2)],
  ])('%s are refused, as a whole and in each part', (_, secondDevice) => {
    const second = startExchange(crypto, secondDevice, server)
    expect(refusalFor(second.responded.answer)).toEqual(refused)
    expect(refusalOf(() => acceptAnswer(crypto, copyOf(second.initiated), answer))).toEqual(refused)
    for (const part of parts.filter((name) => name !== 'expiresAt')) {
      expect(refusalFor({ ...answer, [part]: second.responded.answer[part] }), part).toEqual(refused)
    }
    expect(acceptAnswer(crypto, copyOf(second.initiated), second.responded.answer).epoch).toBe(request.bucket)
  })
})

describe('an exchange', () => {
  it('is used up by the first answer, accepted or not', () => {
    const once = copyOf(initiated)
    expect(refusalOf(() => acceptAnswer(crypto, once, { ...answer, nonce: request.nonce }))).toEqual(refused)
    expect(refusalOf(() => acceptAnswer(crypto, once, answer))).toEqual(refused)
  })
})
