import { z } from 'zod'
import { tokenProof } from '../protocol/exchange/epochs.ts'
import { tokenAnswer, tokenRequest } from '../protocol/exchange/messages.ts'
import { timeOf, withChain } from './device-keys.ts'
import type { DeviceParts } from './device-parts.ts'
import { getDeviceState, updateDeviceState } from './device-state.ts'
import { QflareError } from './errors.ts'

/** A token that ends within this is renewed before it is used. */
const RENEW_BEFORE_MS = 30_000

/** A new access token of the session, by a proof under the epoch's key (docs/protocol.md §4); stored. Throws `no_session`. */
export async function renewToken(parts: Pick<DeviceParts, 'http' | 'crypto' | 'store' | 'now'>): Promise<string> {
  const { http, crypto, store } = parts
  const { deviceId } = await getDeviceState(store)
  const nonce = crypto.randomBytes(32)
  const { sessionId, epoch, proof } = await withChain(parts, undefined, (chain, names) => ({
    ...names,
    proof: tokenProof(crypto, chain, { ...names, nonce }),
  }))
  const message = z.encode(tokenRequest, { deviceId, epoch, nonce, proof })
  const answer = await http.post(`/v1/sessions/${sessionId}/tokens`, message, tokenAnswer)
  await updateDeviceState(store, (state) =>
    state.session?.sessionId === sessionId ? { ...state, session: { ...state.session, ...answer } } : state,
  )
  return answer.accessToken
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
