import type { DecapsulationKey, EncapsulationKey, Primitives } from '../primitives.ts'
import { deriveExchangeKeys } from './key-schedule.ts'
import type { ExchangeAnswer, ExchangeRequest } from './messages.ts'
import { respondHash } from './transcript.ts'

export interface Responded {
  readonly answer: ExchangeAnswer
  /** `tagD` that the device will send. Store its hash only. */
  readonly expectedConfirmation: Uint8Array
  /** 64 bytes, of the exchange's bucket; owned by the caller, who seals and wipes it. */
  readonly chain: Uint8Array
}

/** The server's answer to a request whose signature over `th1` was verified and whose `clientKey` was imported. */
export function respondToExchange(
  crypto: Primitives,
  inputs: {
    request: ExchangeRequest
    th1: Uint8Array
    sessionId: string
    clientKey: EncapsulationKey
    bucketKey: DecapsulationKey
    expiresAt: number
  },
): Responded {
  const { request, th1, sessionId, expiresAt } = inputs
  const sharedSecretS = inputs.bucketKey.decapsulate(request.ciphertext)
  const { ciphertext, sharedSecret: sharedSecretD } = inputs.clientKey.encapsulate()
  const nonce = crypto.randomBytes(32)
  const th2 = respondHash(crypto, th1, request.signature, { sessionId, nonce, ciphertext, expiresAt })
  const keys = deriveExchangeKeys(crypto, { th2, bucket: request.bucket, sharedSecretS, sharedSecretD })
  sharedSecretS.fill(0)
  sharedSecretD.fill(0)
  return {
    answer: { sessionId, nonce, ciphertext, expiresAt, confirmation: keys.serverConfirmation },
    expectedConfirmation: keys.deviceConfirmation,
    chain: keys.chain,
  }
}
