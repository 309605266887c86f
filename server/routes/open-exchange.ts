import { z } from 'zod'
import { exchangeAnswer, exchangeRequest } from '../../protocol/exchange/messages.ts'
import { defineRoute, type Route } from '../route.ts'
import type { OpenExchange } from '../services/open-exchange.ts'

export function openExchangeRoute(openExchange: OpenExchange): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/exchanges',
    access: 'anyone',
    summary: 'Begin a key exchange',
    body: exchangeRequest,
    answers: { 201: { description: 'The session is PENDING.', body: exchangeAnswer, hasLocation: true } },
    errors: ['exchange_refused', 'bucket_out_of_window', 'replayed', 'session_state', 'overloaded'],
    async answer({ body, requestId, network }) {
      const { answer, rateLimits } = await openExchange(body, { requestId, network })
      const headers = { location: `/v1/sessions/${answer.sessionId}` }
      return { status: 201, headers, rateLimits, body: z.encode(exchangeAnswer, answer) }
    },
  })
}
