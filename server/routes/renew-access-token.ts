import { tokenAnswer, tokenRequest } from '../../protocol/exchange/messages.ts'
import { defineRoute, type Route } from '../route.ts'
import type { RenewAccessToken } from '../services/renew-access-token.ts'
import { parseId } from './ids.ts'

export function renewAccessTokenRoute(renewAccessToken: RenewAccessToken): Route {
  return defineRoute({
    method: 'post',
    path: '/v1/sessions/:id/tokens',
    access: 'anyone',
    queue: 'open_work',
    summary: 'Renew the access token of a session',
    body: tokenRequest,
    answers: { 201: { description: 'A new access token.', body: tokenAnswer } },
    errors: ['unauthenticated', 'bucket_out_of_window', 'replayed', 'session_state'],
    async answer({ params, body, requestId }) {
      return { status: 201, body: await renewAccessToken(parseId(params), body, requestId) }
    },
  })
}
