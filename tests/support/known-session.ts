import { concatenate, lengthPrefixed, toBase64url } from '../../protocol/encoding.ts'
import { communicationKey, tokenProof } from '../../protocol/exchange/epochs.ts'
import { acceptAnswer } from '../../protocol/exchange/initiate.ts'
import { exchangeAnswer } from '../../protocol/exchange/messages.ts'
import { respondHash } from '../../protocol/exchange/transcript.ts'
import { extract } from '../../protocol/key-derivation.ts'
import { call, confirm, enrollTestDevice, initiate, sendExchange } from './api.ts'
import type { Canary } from './byte-search.ts'
import { crypto, type TestService } from './service.ts'

export interface KnownSession {
  sessionId: string
  /** Its first, which is its bucket. */
  epoch: number
  /** Of that epoch and purpose `encryption`, 64 bytes. */
  key: Uint8Array
  /** Everything that both ends had of it in that epoch, each of which opens it: the device tells. */
  secrets: Canary[]
}

/** An ACTIVE session of a new device, in which the server has opened the chain too: for the renewal of a token, which was used. */
export async function establishKnownSession(service: TestService): Promise<KnownSession> {
  const device = await enrollTestDevice(service)
  const initiated = await initiate(service, device)
  const sharedSecretS = Uint8Array.from(initiated.sharedSecretS)
  const answer = exchangeAnswer.parse((await sendExchange(service, initiated.wire)).body)
  const sharedSecretD = Uint8Array.from(initiated.ephemeralKey.decapsulate(answer.ciphertext))
  const th2 = respondHash(crypto, initiated.th1, initiated.request.signature, answer)
  const prk = extract(crypto, th2, concatenate([sharedSecretS, sharedSecretD].map(lengthPrefixed)))
  const opened = acceptAnswer(crypto, initiated, answer)
  const { sessionId, epoch, chain } = opened
  await expectStatus(200, confirm(service, device, opened))
  const nonce = crypto.randomBytes(32)
  const proof = tokenProof(crypto, chain, { sessionId, epoch, nonce })
  const body = { deviceId: device.deviceId, epoch, nonce: toBase64url(nonce), proof: toBase64url(proof) }
  const { accessToken } = await expectStatus(201, call(service, 'POST', `/v1/sessions/${sessionId}/tokens`, { body }))
  await expectStatus(200, call(service, 'GET', `/v1/sessions/${sessionId}`, { token: accessToken }))
  const keyOf = (purpose: 'token' | 'encryption', context: Uint8Array = new Uint8Array(0)) =>
    communicationKey(crypto, chain, { sessionId, epoch, purpose, context })
  const key = keyOf('encryption')
  return {
    sessionId,
    epoch,
    key,
    secrets: [
      { what: 'shared secret under the bucket key', bytes: sharedSecretS },
      { what: 'shared secret under the device’s key', bytes: sharedSecretD },
      { what: 'prk', bytes: prk },
      { what: 'chain', bytes: chain },
      { what: 'key for encryption', bytes: key },
      { what: 'key of the renewal', bytes: keyOf('token', nonce) },
    ],
  }
}

async function expectStatus(status: number, answering: ReturnType<typeof call>) {
  const answer = await answering
  if (answer.status !== status) throw new Error(`not ${status} but ${answer.status}: ${JSON.stringify(answer.body)}`)
  return answer.body
}
