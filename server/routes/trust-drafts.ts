import { z } from 'zod'
import { trustBundle } from '../../protocol/trust.ts'
import { unsignedTrustBundle } from '../../protocol/trust-draft.ts'
import { kid, timestamp } from '../../protocol/wire.ts'
import { defineRoute, type Route } from '../route.ts'
import type { TrustDrafts } from '../services/trust-drafts.ts'

/** The 64 keys of the largest bundle, with room. */
const MAX_BODY_BYTES = 524_288

const trustDraftJson = z
  .strictObject({
    rootKid: kid,
    isRootOffline: z.boolean(),
    draft: z
      .strictObject({
        previous: trustBundle,
        next: unsignedTrustBundle,
        awaitedSince: timestamp,
        signBefore: timestamp.nullable().meta({ description: 'afterwards keys may end before their successors sign' }),
      })
      .nullable()
      .meta({ description: 'null while nothing waits for the root of trust' }),
  })
  .meta({ id: 'TrustDraft' })

export function trustDraftRoutes(drafts: TrustDrafts): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/v1/trust/draft',
      access: 'service_admin',
      summary: 'The trust bundle that waits for the signature of a root of trust that is offline',
      answers: { 200: { description: 'The root of trust, and what waits for it.', body: trustDraftJson } },
      async answer() {
        const { awaited, ...root } = await drafts.find()
        if (awaited === undefined) return { status: 200, body: { ...root, draft: null } }
        const { previous, next, awaitedSince, signBefore = null } = awaited
        return { status: 200, body: { ...root, draft: { previous, next, awaitedSince, signBefore } } }
      },
    }),
    defineRoute({
      method: 'post',
      path: '/v1/trust',
      access: 'service_admin',
      summary: 'Give the trust bundle that waited, signed by the root of trust',
      body: trustBundle,
      maxBodyBytes: MAX_BODY_BYTES,
      answers: {
        200: {
          description: 'It is the newest one; or it was stored before.',
          body: z.strictObject({ trustSequence: z.int() }),
        },
      },
      errors: ['draft_mismatch'],
      async answer({ caller, body, requestId }) {
        return { status: 200, body: { trustSequence: await drafts.submit(caller, body, requestId) } }
      },
    }),
  ]
}
