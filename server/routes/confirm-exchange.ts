import { confirmRequest } from '../../protocol/exchange/messages.ts'
import { parseInput, type Route } from '../route.ts'
import type { ConfirmExchange } from '../services/confirm-exchange.ts'
import { parseId } from './ids.ts'

export function confirmExchangeRoute(confirmExchange: ConfirmExchange): Route {
  return {
    method: 'post',
    path: '/v1/exchanges/:id/confirm',
    access: 'anyone',
    async answer({ params, body, requestId }) {
      const request = parseInput(confirmRequest, body)
      return { status: 200, body: await confirmExchange(parseId(params), request, requestId) }
    },
  }
}
