import { z } from 'zod'
import { GRACE_MS, SKEW_MS } from '../../protocol/exchange/bucket.ts'
import { bucketsAnswer } from '../../protocol/exchange/messages.ts'
import { decimal } from '../page.ts'
import { parseInput, type Route } from '../route.ts'
import type { PublishedKeys } from '../services/published-keys.ts'

const trustQuery = z.strictObject({ after: decimal.default(0) })

export function publishedKeyRoutes(keys: PublishedKeys): Route[] {
  return [
    {
      method: 'get',
      path: '/.well-known/jwks.json',
      access: 'anyone',
      async answer() {
        const headers = { 'cache-control': 'public, max-age=300' }
        return { status: 200, headers, body: { keys: await keys.listAttestationKeys() } }
      },
    },
    {
      method: 'get',
      path: '/v1/trust',
      access: 'anyone',
      async answer({ query }) {
        const { after } = parseInput(trustQuery, query)
        return { status: 200, body: { items: await keys.listTrust(after), nextCursor: null } }
      },
    },
    {
      method: 'get',
      path: '/v1/buckets',
      access: 'anyone',
      async answer() {
        const { certificates, cacheMs } = await keys.listBucketCertificates()
        const maxAge = Math.floor(cacheMs / 1000)
        const headers = { 'cache-control': maxAge > 0 ? `public, max-age=${maxAge}` : 'no-store' }
        const body = z.encode(bucketsAnswer, { certificates, graceMs: GRACE_MS, skewMs: SKEW_MS })
        return { status: 200, headers, body }
      },
    },
  ]
}
