import { z } from 'zod'
import { ServiceError } from '../errors.ts'
import { decimal } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { RevocationFeed } from '../services/revocation-feed.ts'

const query = z.strictObject({
  after: decimal
    .optional()
    .meta({ description: 'the last id that was heard; `Last-Event-ID` says the same', type: 'integer' }),
})

export function revocationRoutes(feed: RevocationFeed): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/revocations',
      access: 'operator_or_coordinator',
      summary: 'Hear at once which devices may not take part any more, or may again (server-sent events)',
      query,
      answers: {
        200: {
          description:
            'Events, as long as it is listened to: `snapshot`, `change` and `end`, with data in JSON (docs/api.md).',
          contentType: 'text/event-stream',
        },
      },
      errors: ['overloaded'],
      async answer({ caller, query: { after }, lastEventId }) {
        const { chunks, cutOff } = await feed.follow(caller, after ?? parseLastEventId(lastEventId))
        // A proxy that gathers the answer would keep the news for itself.
        const headers = { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' }
        return { status: 200, headers, body: chunks, cutOff }
      },
    }),
  ]
}

/** Throws `malformed`. */
function parseLastEventId(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  const parsed = decimal.safeParse(text)
  if (!parsed.success) throw new ServiceError('malformed', 'Last-Event-ID: is none of these events.')
  return parsed.data
}
