import { concatenate, lengthPrefixed, toBase64url } from '../../protocol/encoding.ts'
import { communicationKey, tokenProof } from '../../protocol/exchange/epochs.ts'
import { acceptAnswer } from '../../protocol/exchange/initiate.ts'
import { exchangeAnswer } from '../../protocol/exchange/messages.ts'
import { respondHash } from '../../protocol/exchange/transcript.ts'
import { extract } from '../../protocol/key-derivation.ts'
import { call, confirm, enrollTestDevice, initiate, sendExchange, type TestDevice } from './api.ts'
import type { Canary } from './byte-search.ts'
import type { TestParty } from './rounds.ts'
import { crypto, type TestService } from './service.ts'

/** `epoch` is its first, which is its bucket. */
export interface KnownSession extends TestParty {
  /** Of that epoch and purpose `encryption`, 64 bytes. */
  key: Uint8Array
  /** Everything that both ends had of it in that epoch, each of which opens it: the device tells. */
  secrets: Canary[]
}

/** An ACTIVE session, of a new device unless one is given, in which the server has opened the chain too: for a renewal. */
export async function establishKnownSession(service: TestService, known?: TestDevice): Promise<KnownSession> {
  const device = known ?? (await enrollTestDevice(service))
  const initiated = await initiate(service, device)
  const sharedSecretS = Uint8Array.from(initiated.sharedSecretS)
  const answer = exchangeAnswer.parse(await expectStatus(201, sendExchange(service, initiated.wire)))
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
  const secrets = {
    'shared secret under the bucket key': sharedSecretS,
    'shared secret under the device’s key': sharedSecretD,
    prk,
    chain,
    'key for encryption': key,
    'key of the renewal': keyOf('token', nonce),
  }
  return {
    ...device,
    ...opened,
    accessToken,
    key,
    secrets: Object.entries(secrets).map(([what, bytes]) => ({ what: `${what} of ${sessionId}`, bytes })),
  }
}

async function expectStatus(status: number, answering: ReturnType<typeof call>) {
  const answer = await answering
  if (answer.status !== status) throw new Error(`not ${status} but ${answer.status}: ${JSON.stringify(answer.body)}`)
  return answer.body
}
