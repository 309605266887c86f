import { confirmAnswer, confirmRequest } from '../../protocol/exchange/messages.ts'
import { defineRoute, type Route } from '../route.ts'
import type { ConfirmExchange } from '../services/confirm-exchange.ts'
import { parseId } from './ids.ts'

export function confirmExchangeRoute(confirmExchange: ConfirmExchange): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/exchanges/:id/confirm',
    access: 'anyone',
    queue: 'exchanges',
    summary: 'Confirm an exchange',
    body: confirmRequest,
    answers: { 200: { description: 'The session is ACTIVE.', body: confirmAnswer } },
    errors: ['confirmation_refused', 'session_state', 'overloaded'],
    async answer({ params, body, requestId, claimant }) {
      return { status: 200, body: await confirmExchange(parseId(params), body, requestId, claimant) }
    },
  })
}
