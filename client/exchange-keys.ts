import { z } from 'zod'
import { ProtocolError } from '../protocol/errors.ts'
import { acceptAnswer, type EstablishedExchange, initiateExchange } from '../protocol/exchange/initiate.ts'
import {
  type BucketCertificate,
  bucketsAnswer,
  confirmAnswer,
  confirmRequest,
  exchangeAnswer,
  exchangeRequest,
} from '../protocol/exchange/messages.ts'
import type { DeviceParts } from './device-parts.ts'
import { getDeviceState, updateDeviceState } from './device-state.ts'
import { isAnswerLost, QflareError } from './errors.ts'
import { followTrust } from './follow-trust.ts'
import { selectCertificate } from './select-certificate.ts'
import { askServerTime } from './server-time.ts'
import { backoffMs } from './wait.ts'

/** The server keeps at most two unconfirmed sessions of a device, so that more would be in vain. */
const MAX_LOST_ANSWERS = 2
const BACKOFF = { firstMs: 500, longestMs: 10_000 }

/** What was corrected so far; each kind of correction happens once in an exchange, a lost answer twice. */
interface Attempt {
  /** Undefined: the device's own clock is believed. */
  clockOffsetMs?: number
  pastCaches?: boolean
  /** The server refused a message for this certificate. */
  refused?: { certificate: BucketCertificate; error: unknown }
  lostAnswers?: number
}

/**
 * A new exchange (docs/protocol.md §4), stored; its session replaces the one before. Nothing is believed or stored before
 * `tagS` is verified. Every attempt is a new message; only the confirmation is repeated as it is. Throws `QflareError`, or the `ProtocolError` of a check that failed.
 */
export async function exchangeKeys(parts: DeviceParts): Promise<void> {
  let attempt: Attempt = {}
  for (;;) {
    let certificate: BucketCertificate | undefined
    let established: EstablishedExchange
    try {
      certificate = await findCertificate(parts, attempt)
      const { refused } = attempt
      if (refused !== undefined && parts.crypto.equal(refused.certificate.publicKey, certificate.publicKey)) {
        throw refused.error
      }
      established = await sendMessage(parts, certificate)
    } catch (error) {
      attempt = await correctAttempt(parts, attempt, certificate, error)
      continue
    }
    try {
      return await confirmExchange(parts, established, attempt.clockOffsetMs ?? 0)
    } finally {
      established.chain.fill(0)
    }
  }
}

/** What a cache answered and is refused is fetched anew, once. */
async function findCertificate(parts: DeviceParts, attempt: Attempt): Promise<BucketCertificate> {
  const find = async (pastCaches: boolean) => {
    const { trust, bucketFloor } = await followTrust(parts, { pastCaches })
    const { certificates } = await parts.http.get('/v1/buckets', bucketsAnswer, { pastCaches })
    const now = parts.now() + (attempt.clockOffsetMs ?? 0)
    return selectCertificate(parts.crypto, certificates, {
      trust,
      bucketFloor,
      allowedSuites: parts.allowedSuites,
      now,
    })
  }
  if (attempt.pastCaches === true) return find(true)
  try {
    return await find(false)
  } catch (error) {
    if (error instanceof ProtocolError) return find(true)
    throw error
  }
}

async function sendMessage(parts: DeviceParts, certificate: BucketCertificate): Promise<EstablishedExchange> {
  const { http, crypto } = parts
  const { deviceId, identity, session } = await getDeviceState(parts.store)
  const identityKey = crypto.importSigningKey(identity.alg, identity.seed)
  const secrets = { identitySeed: identity.seed, previousChain: session?.chain }
  const initiated = initiateExchange(crypto, { deviceId, identityKey, ...secrets }, certificate)
  identity.seed.fill(0)
  session?.chain.fill(0)
  const answer = await http.post('/v1/exchanges', z.encode(exchangeRequest, initiated.request), exchangeAnswer)
  return acceptAnswer(crypto, initiated, answer)
}

/** What to do differently, or the error again when nothing is left to correct. */
async function correctAttempt(
  parts: DeviceParts,
  attempt: Attempt,
  certificate: BucketCertificate | undefined,
  error: unknown,
): Promise<Attempt> {
  const code = error instanceof QflareError || error instanceof ProtocolError ? error.code : undefined
  if (code === 'bucket_out_of_window' && attempt.clockOffsetMs === undefined) {
    const { deviceId, bucketFloor } = await getDeviceState(parts.store)
    const serverNow = await askServerTime(parts, { error, deviceId, bucketFloor })
    return { ...attempt, clockOffsetMs: serverNow - parts.now(), pastCaches: true }
  }
  if (certificate === undefined) throw error
  if (code === 'exchange_refused' && attempt.pastCaches !== true) {
    return { ...attempt, pastCaches: true, refused: { certificate, error } }
  }
  const { lostAnswers = 0 } = attempt
  if ((isAnswerLost(error) || code === 'replayed') && lostAnswers < MAX_LOST_ANSWERS) {
    await parts.wait(backoffMs(lostAnswers + 1, BACKOFF), parts.signal)
    return { ...attempt, lostAnswers: lostAnswers + 1 }
  }
  throw error
}

async function confirmExchange(
  parts: DeviceParts,
  established: EstablishedExchange,
  clockOffsetMs: number,
): Promise<void> {
  const { http, crypto, store } = parts
  const { sessionId, expiresAt, epoch, chain } = established
  const { deviceId } = await updateDeviceState(store, (state) =>
    state.bucketFloor >= epoch ? state : { ...state, bucketFloor: epoch },
  )
  const answer = await http.post(
    `/v1/exchanges/${sessionId}/confirm`,
    z.encode(confirmRequest, { deviceId, confirmation: established.deviceConfirmation }),
    confirmAnswer,
    { repeatable: true },
  )
  if (answer.sessionId !== sessionId || answer.expiresAt !== expiresAt) {
    throw new QflareError('bad_answer', 'The server confirmed another session than the one that was agreed.')
  }
  const { accessToken, accessTokenExpiresAt } = answer
  const now = parts.now() + clockOffsetMs
  const nextExchangeAt = Math.round(now + ((expiresAt - now) / 2) * (0.9 + 0.2 * toFraction(crypto.randomBytes(2))))
  await updateDeviceState(store, (state) => ({
    ...state,
    session: {
      sessionId,
      expiresAt,
      firstEpoch: epoch,
      epoch,
      chain,
      clockOffsetMs,
      nextExchangeAt,
      accessToken,
      accessTokenExpiresAt,
    },
  }))
}

/** Two random bytes as a number from 0 to 1. */
function toFraction([high = 0, low = 0]: Uint8Array): number {
  return (high * 256 + low) / 65_535
}
