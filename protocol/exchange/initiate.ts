import { ProtocolError } from '../errors.ts'
import { hedgeExchange } from '../hedge.ts'
import type { DecapsulationKey, Primitives, SigningKey } from '../primitives.ts'
import { signatureContexts } from '../suites.ts'
import { isSessionEnd } from './bucket.ts'
import { deriveExchangeKeys } from './key-schedule.ts'
import type { BucketCertificate, ExchangeAnswer, ExchangeRequest } from './messages.ts'
import { initiateHash, respondHash, sessionIdOf } from './transcript.ts'

/** What a device keeps between its message and the answer. It is used once and never stored. */
export interface InitiatedExchange {
  readonly request: ExchangeRequest
  readonly th1: Uint8Array
  readonly ephemeralKey: DecapsulationKey
  readonly sharedSecretS: Uint8Array
}

/** What a device has after it has verified the server's confirmation. */
export interface EstablishedExchange {
  readonly sessionId: string
  readonly expiresAt: number
  /** First epoch of `chain`: the exchange's bucket. */
  readonly epoch: number
  /** 64 bytes; owned by the caller, who ratchets and wipes it. */
  readonly chain: Uint8Array
  /** `tagD`, to be sent. */
  readonly deviceConfirmation: Uint8Array
}

/**
 * The device's message. `certificate` is verified. Its secrets are hedged, so that a bad random source alone does not give
 * them away (docs/protocol.md §4); `previousChain` is that of the session before, where one is alive.
 */
export function initiateExchange(
  crypto: Primitives,
  device: {
    deviceId: string
    identityKey: SigningKey
    identitySeed: Uint8Array
    previousChain?: Uint8Array | undefined
  },
  certificate: BucketCertificate,
): InitiatedExchange {
  const { suite, bucket } = certificate
  const bucketKey = crypto.importEncapsulationKey(suite, certificate.publicKey)
  const seeds = hedgeExchange(crypto, device)
  const ephemeralKey = crypto.importDecapsulationKey(suite, seeds.ephemeralKey)
  const { ciphertext, sharedSecret } = bucketKey.encapsulate(seeds.encapsulation)
  seeds.ephemeralKey.fill(0)
  seeds.encapsulation.fill(0)
  const unsigned = {
    deviceId: device.deviceId,
    suite,
    bucket,
    nonce: crypto.randomBytes(32),
    clientKey: ephemeralKey.encapsulationKey,
    ciphertext,
  }
  const th1 = initiateHash(crypto, unsigned, certificate)
  const signature = device.identityKey.sign(th1, signatureContexts.exchange)
  return { request: { ...unsigned, signature }, th1, ephemeralKey, sharedSecretS: sharedSecret }
}

/** Verifies the server's confirmation before anything else is believed. Throws `confirmation_invalid`. */
export function acceptAnswer(
  crypto: Primitives,
  initiated: InitiatedExchange,
  answer: ExchangeAnswer,
): EstablishedExchange {
  const { request, th1 } = initiated
  const sharedSecretD = initiated.ephemeralKey.decapsulate(answer.ciphertext)
  const th2 = respondHash(crypto, th1, request.signature, answer)
  const keys = deriveExchangeKeys(crypto, {
    th2,
    bucket: request.bucket,
    sharedSecretS: initiated.sharedSecretS,
    sharedSecretD,
  })
  sharedSecretD.fill(0)
  initiated.sharedSecretS.fill(0)
  if (
    !crypto.equal(keys.serverConfirmation, answer.confirmation) ||
    answer.sessionId !== sessionIdOf(request.bucket, th1)
  ) {
    keys.chain.fill(0)
    throw new ProtocolError('confirmation_invalid', 'The confirmation is not the server’s: the answer was refused.')
  }
  if (!isSessionEnd(answer.expiresAt, request.bucket)) {
    keys.chain.fill(0)
    throw new ProtocolError(
      'confirmation_invalid',
      'The session would end at a time that no session ends: the answer was refused.',
    )
  }
  return {
    sessionId: answer.sessionId,
    expiresAt: answer.expiresAt,
    epoch: request.bucket,
    chain: keys.chain,
    deviceConfirmation: keys.deviceConfirmation,
  }
}
