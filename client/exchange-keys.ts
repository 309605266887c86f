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
import { type DeviceState, getDeviceState, updateDeviceState } from './device-state.ts'
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

interface Established extends EstablishedExchange {
  /** Of the next identity key, where it signed. */
  nextKid: string | undefined
  /** Undefined where the server gives none. */
  pass: string | undefined
}

/** Which identity key of the state signs; the one in use, where there is no next one. */
type Signer = 'identity' | 'nextIdentity'

/**
 * A new exchange (docs/protocol.md §4), stored; its session replaces the one before. Nothing is believed or stored before
 * `tagS` is verified. Every attempt is a new message; only the confirmation is repeated as it is. Where a rotation of the
 * identity key was begun and the server refuses one key, it is asked with the other: which of them it has, only this tells.
 * Throws `QflareError`, or the `ProtocolError` of a check that failed.
 */
export async function exchangeKeys(given: DeviceParts, first: Signer = 'identity'): Promise<void> {
  const { identity: before, pass } = await getDeviceState(given.store)
  const parts = { ...given, http: given.http.withPass(pass) }
  try {
    await exchangeAs(parts, first)
  } catch (error) {
    if (!(error instanceof QflareError) || error.code !== 'exchange_refused') throw error
    const { identity, nextIdentity } = await getDeviceState(parts.store)
    // Another process may have ended the rotation in the meantime.
    if (nextIdentity === undefined && parts.crypto.equal(identity.seed, before.seed)) throw error
    await exchangeAs(parts, first === 'identity' ? 'nextIdentity' : 'identity')
  } finally {
    before.seed.fill(0)
  }
}

async function exchangeAs(parts: DeviceParts, signer: Signer): Promise<void> {
  let attempt: Attempt = {}
  for (;;) {
    let certificate: BucketCertificate | undefined
    let established: Established
    try {
      certificate = await findCertificate(parts, attempt)
      const { refused } = attempt
      if (refused !== undefined && parts.crypto.equal(refused.certificate.publicKey, certificate.publicKey)) {
        throw refused.error
      }
      established = await sendMessage(parts, certificate, signer)
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

async function sendMessage(parts: DeviceParts, certificate: BucketCertificate, signer: Signer): Promise<Established> {
  const { http, crypto } = parts
  const { deviceId, session, ...state } = await getDeviceState(parts.store)
  const identity = state[signer] ?? state.identity
  const nextKid = signer === 'nextIdentity' ? state.nextIdentity?.kid : undefined
  const identityKey = crypto.importSigningKey(identity.alg, identity.seed)
  const secrets = { identitySeed: identity.seed, previousChain: session?.chain }
  const initiated = initiateExchange(crypto, { deviceId, identityKey, ...secrets }, certificate)
  state.identity.seed.fill(0)
  state.nextIdentity?.seed.fill(0)
  session?.chain.fill(0)
  let pass: string | undefined
  const message = z.encode(exchangeRequest, initiated.request)
  const answer = await http.post('/v1/exchanges', message, exchangeAnswer, { onPass: (given) => (pass = given) })
  return { ...acceptAnswer(crypto, initiated, answer), nextKid, pass }
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

async function confirmExchange(parts: DeviceParts, established: Established, clockOffsetMs: number): Promise<void> {
  const { crypto, store } = parts
  const { sessionId, expiresAt, epoch, chain, pass } = established
  const http = pass === undefined ? parts.http : parts.http.withPass(pass)
  const { deviceId } = await updateDeviceState(store, (stored) => {
    const taken = takeNextIdentity(stored, established.nextKid, parts.now() + clockOffsetMs)
    const state = pass === undefined ? taken : { ...taken, pass }
    return state.bucketFloor >= epoch ? state : { ...state, bucketFloor: epoch }
  })
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

/** The server takes the next identity key: it is the one in use from now on, and with the old one the sessions have ended. */
function takeNextIdentity(state: DeviceState, nextKid: string | undefined, since: number): DeviceState {
  const { nextIdentity, session: _ended, ...rest } = state
  if (nextIdentity === undefined || nextIdentity.kid !== nextKid) return state
  const { alg, seed } = nextIdentity
  return { ...rest, identity: { alg, seed, since } }
}

/** Two random bytes as a number from 0 to 1. */
function toFraction([high = 0, low = 0]: Uint8Array): number {
  return (high * 256 + low) / 65_535
}
