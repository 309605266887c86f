import { z } from 'zod'
import { sessionStates } from '../../protocol/exchange/session-states.ts'
import { suite, timestamp, uuid } from '../../protocol/wire.ts'
import { pageOf, pageQuery, toPage } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { Session, Sessions } from '../services/sessions.ts'
import { parseId } from './ids.ts'

const listQuery = z.strictObject({
  ...pageQuery,
  deviceId: uuid.optional().meta({ description: 'of one device; for a device itself it is always its own' }),
})

const sessionJson = z
  .strictObject({
    id: uuid,
    deviceId: uuid,
    state: z.enum(sessionStates),
    suite,
    bucket: z.int(),
    createdAt: timestamp,
    confirmedAt: timestamp.nullable(),
    expiresAt: timestamp,
    epochs: z.strictObject({ first: z.int(), last: z.int() }),
  })
  .meta({ id: 'Session' })

export function sessionRoutes(sessions: Sessions): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/sessions',
      access: 'operator_or_own',
      summary: 'List sessions, the newest bucket first',
      query: listQuery,
      answers: { 200: { description: 'A page of sessions.', body: pageOf(sessionJson) } },
      async answer({ caller, query: { limit, cursor, deviceId } }) {
        const found = await sessions.list(caller, { limit: limit + 1, beforeId: cursor, deviceId })
        const page = toPage(found, limit)
        return { status: 200, body: { ...page, items: page.items.map(toJson) } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/sessions/:id',
      access: 'operator_or_own',
      summary: 'Show a session, never its keys',
      answers: { 200: { description: 'The session.', body: sessionJson } },
      async answer({ caller, params }) {
        return { status: 200, body: toJson(await sessions.get(caller, parseId(params))) }
      },
    }),
    defineRoute({
      method: 'delete',
      path: '/v1/sessions/:id',
      access: 'operator_or_own',
      summary: 'End a session for good',
      answers: { 204: { description: 'The session is REVOKED.' } },
      errors: ['session_state'],
      async answer({ caller, params, requestId }) {
        await sessions.revoke(caller, parseId(params), requestId)
        return { status: 204 }
      },
    }),
  ]
}

function toJson(session: Session): z.input<typeof sessionJson> {
  return {
    id: session.id,
    deviceId: session.principalId,
    state: session.state,
    suite: session.suite,
    bucket: session.bucket,
    createdAt: session.createdAt,
    confirmedAt: session.confirmedAt ?? null,
    expiresAt: session.expiresAt,
    epochs: { first: session.bucket, last: session.lastEpoch },
  }
}
