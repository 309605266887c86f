import { tokenRequest } from '../../protocol/exchange/messages.ts'
import { parseInput, type Route } from '../route.ts'
import type { RenewAccessToken } from '../services/renew-access-token.ts'
import { parseId } from './ids.ts'

export function renewAccessTokenRoute(renewAccessToken: RenewAccessToken): Route {
  return {
    method: 'post',
    path: '/v1/sessions/:id/tokens',
    access: 'anyone',
    async answer({ params, body, requestId }) {
      const request = parseInput(tokenRequest, body)
      return { status: 201, body: await renewAccessToken(parseId(params), request, requestId) }
    },
  }
}
