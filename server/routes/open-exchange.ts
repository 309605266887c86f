import { z } from 'zod'
import { exchangeAnswer, exchangeRequest } from '../../protocol/exchange/messages.ts'
import { PASS_HEADER } from '../claimants.ts'
import { defineRoute, type Route } from '../route.ts'
import type { OpenExchange } from '../services/open-exchange.ts'

export function openExchangeRoute(openExchange: OpenExchange): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/exchanges',
    access: 'anyone',
    queue: 'exchanges',
    summary: 'Begin a key exchange',
    body: exchangeRequest,
    answers: {
      201: { description: 'The session is PENDING.', body: exchangeAnswer, hasLocation: true, hasPass: true },
    },
    errors: ['exchange_refused', 'bucket_out_of_window', 'replayed', 'session_state', 'overloaded'],
    async answer({ body, requestId, network, claimant }) {
      const { answer, rateLimits, pass } = await openExchange(body, { requestId, network }, claimant)
      const headers = { location: `/v1/sessions/${answer.sessionId}`, [PASS_HEADER]: pass }
      return { status: 201, headers, rateLimits, body: z.encode(exchangeAnswer, answer) }
    },
  })
}
