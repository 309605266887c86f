import { z } from 'zod'
import { tokenProof } from '../protocol/exchange/epochs.ts'
import { tokenAnswer, tokenRequest } from '../protocol/exchange/messages.ts'
import { timeOf, withChain } from './device-keys.ts'
import type { DeviceParts } from './device-parts.ts'
import { getDeviceState, updateDeviceState } from './device-state.ts'
import { QflareError } from './errors.ts'

/** A token that ends within this is renewed before it is used. */
const RENEW_BEFORE_MS = 30_000

/**
 * A new access token of the session, by a proof under the epoch's key (docs/protocol.md §4); stored. Throws `no_session`, or
 * `session_state` when the session is over for the server.
 */
export async function renewToken(parts: Pick<DeviceParts, 'http' | 'crypto' | 'store' | 'now'>): Promise<string> {
  const { http, crypto, store } = parts
  const { deviceId } = await getDeviceState(store)
  const nonce = crypto.randomBytes(32)
  const { sessionId, epoch, proof } = await withChain(parts, undefined, (chain, names) => ({
    ...names,
    proof: tokenProof(crypto, chain, { ...names, nonce }),
  }))
  const message = z.encode(tokenRequest, { deviceId, epoch, nonce, proof })
  const answer = await http.post(`/v1/sessions/${sessionId}/tokens`, message, tokenAnswer).catch(explainEndedSession)
  await updateDeviceState(store, (state) =>
    state.session?.sessionId === sessionId ? { ...state, session: { ...state.session, ...answer } } : state,
  )
  return answer.accessToken
}

/** The server names the key that it erased with the session, and not why it did. */
function explainEndedSession(error: unknown): never {
  if (!(error instanceof QflareError) || error.code !== 'session_state') throw error
  const { code, status, requestId } = error
  const message =
    'The server ended this session: its keys were lost, it was replaced, or the device was suspended or revoked. An exchange makes a new one, or is refused.'
  throw new QflareError(code, message, { status, requestId, cause: error })
}

/** The session's access token, renewed when it is about to end. Throws `no_session`. */
export async function getAccessToken(parts: Pick<DeviceParts, 'http' | 'crypto' | 'store' | 'now'>): Promise<string> {
  const { session } = await getDeviceState(parts.store)
  if (session === undefined) throw new QflareError('no_session', 'This device has no session: exchange first.')
  const now = timeOf(session, parts.now())
  return now < session.accessTokenExpiresAt - RENEW_BEFORE_MS && now < session.expiresAt
    ? session.accessToken
    : renewToken(parts)
}
