import { z } from 'zod'
import { exchangeAnswer, exchangeRequest } from '../../protocol/exchange/messages.ts'
import { parseInput, type Route } from '../route.ts'
import type { OpenExchange } from '../services/open-exchange.ts'

export function openExchangeRoute(openExchange: OpenExchange): Route {
  return {
    method: 'post',
    path: '/v1/exchanges',
    access: 'anyone',
    async answer({ body, requestId }) {
      const answer = await openExchange(parseInput(exchangeRequest, body), requestId)
      const headers = { location: `/v1/sessions/${answer.sessionId}` }
      return { status: 201, headers, body: z.encode(exchangeAnswer, answer) }
    },
  }
}
