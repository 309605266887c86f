import { z } from 'zod'
import { GRACE_MS, SKEW_MS } from '../../protocol/exchange/bucket.ts'
import { bucketsAnswer } from '../../protocol/exchange/messages.ts'
import { trustBundle } from '../../protocol/trust.ts'
import { kid, signatureAlgorithm } from '../../protocol/wire.ts'
import { decimal, pageOf } from '../page.ts'
import { defineRoute, type Route } from '../route.ts'
import type { PublishedKeys } from '../services/published-keys.ts'

const trustQuery = z.strictObject({
  after: decimal.default(0).meta({ description: 'only bundles with a higher sequence', type: 'integer' }),
})

const jwkSet = z
  .strictObject({
    keys: z.array(
      z.strictObject({
        kty: z.literal('AKP'),
        alg: signatureAlgorithm,
        kid,
        pub: z.string(),
        use: z.literal('sig').optional(),
      }),
    ),
  })
  .meta({ id: 'JwkSet' })

export function publishedKeyRoutes(keys: PublishedKeys): Route[] {
  return [
    defineRoute({
      method: 'get',
      path: '/.well-known/jwks.json',
      access: 'anyone',
      queue: 'open_work',
      summary: 'The keys that sign attestation results (RFC 9964)',
      answers: { 200: { description: 'A JWK set.', body: jwkSet } },
      async answer() {
        const headers = { 'cache-control': 'public, max-age=300' }
        return { status: 200, headers, body: { keys: await keys.listAttestationKeys() } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/trust',
      access: 'anyone',
      queue: 'open_work',
      summary: 'The trust bundles, in order',
      query: trustQuery,
      answers: { 200: { description: 'All of them: there is no second page.', body: pageOf(trustBundle) } },
      async answer({ query }) {
        return { status: 200, body: { items: await keys.listTrust(query.after), nextCursor: null } }
      },
    }),
    defineRoute({
      method: 'get',
      path: '/v1/buckets',
      access: 'anyone',
      summary: 'The certificates of the current time bucket and the next',
      answers: { 200: { description: 'Cacheable until the current one ends.', body: bucketsAnswer } },
      async answer() {
        const { certificates, cacheMs } = await keys.listBucketCertificates()
        const maxAge = Math.floor(cacheMs / 1000)
        const headers = { 'cache-control': maxAge > 0 ? `public, max-age=${maxAge}` : 'no-store' }
        const body = z.encode(bucketsAnswer, { certificates, graceMs: GRACE_MS, skewMs: SKEW_MS })
        return { status: 200, headers, body }
      },
    }),
  ]
}
