import { z } from 'zod'
import { uuid } from '../../protocol/wire.ts'
import { pageQuery, toPage } from '../page.ts'
import { parseInput, type Route } from '../route.ts'
import type { Session, Sessions } from '../services/sessions.ts'
import { parseId } from './ids.ts'

const listQuery = z.strictObject({ ...pageQuery, deviceId: uuid.optional() })

export function sessionRoutes(sessions: Sessions): Route[] {
  return [
    {
      method: 'get',
      path: '/v1/sessions',
      access: 'operator_or_own',
      async answer({ caller, query }) {
        const { limit, cursor, deviceId } = parseInput(listQuery, query)
        const found = await sessions.list(caller, { limit: limit + 1, beforeId: cursor, deviceId })
        const page = toPage(found, limit)
        return { status: 200, body: { ...page, items: page.items.map(toJson) } }
      },
    },
    {
      method: 'get',
      path: '/v1/sessions/:id',
      access: 'operator_or_own',
      async answer({ caller, params }) {
        return { status: 200, body: toJson(await sessions.get(caller, parseId(params))) }
      },
    },
    {
      method: 'delete',
      path: '/v1/sessions/:id',
      access: 'operator_or_own',
      async answer({ caller, params, requestId }) {
        await sessions.revoke(caller, parseId(params), requestId)
        return { status: 204 }
      },
    },
  ]
}

function toJson(session: Session): object {
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
