import type { Database } from '../../database/open.ts'
import { findNewestTrustBundle, listTrustBundles } from '../../database/repositories/service-keys.ts'
import { fromBase64url } from '../../protocol/encoding.ts'
import { bucketAt } from '../../protocol/exchange/bucket.ts'
import type { BucketCertificate } from '../../protocol/exchange/messages.ts'
import { type AkpJwk, toJwk } from '../../protocol/jws.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { suiteNames } from '../../protocol/suites.ts'
import { trustBundle, verifyPinnedTrustBundle, type WireTrustBundle } from '../../protocol/trust.ts'
import type { Clock } from '../../runtime/clock.ts'
import { ServiceError } from '../errors.ts'
import type { TemporalKeys } from './temporal-keys.ts'

export type PublishedKeys = ReturnType<typeof createPublishedKeys>

/** What anybody may fetch: trust bundles, the keys of attestation results, bucket certificates. */
export function createPublishedKeys(parts: {
  database: Database
  temporalKeys: TemporalKeys
  crypto: Primitives
  clock: Clock
  rootKid: string
}) {
  /** Text of the bundles that were verified, by sequence. */
  const verified = new Map<number, string>()

  /** A writer of the database could put another bundle there: it is not given out. */
  function verifyStored(bundle: WireTrustBundle): WireTrustBundle {
    const text = JSON.stringify(bundle)
    if (verified.get(bundle.sequence) === text) return bundle
    try {
      verifyPinnedTrustBundle(parts.crypto, trustBundle.parse(bundle), parts.rootKid)
    } catch (cause) {
      throw new ServiceError('internal', 'The stored trust bundle is not this service’s.', { cause })
    }
    verified.set(bundle.sequence, text)
    return bundle
  }

  async function listTrust(after: number): Promise<WireTrustBundle[]> {
    return (await parts.database.withoutOrganization((tx) => listTrustBundles(tx, after))).map(verifyStored)
  }

  async function getTrust(): Promise<WireTrustBundle> {
    const newest = await parts.database.withoutOrganization(findNewestTrustBundle)
    if (newest === undefined) throw new ServiceError('unavailable', 'The service has no trust bundle yet.')
    return verifyStored(newest)
  }

  return {
    listTrust,
    getTrust,

    async listAttestationKeys(): Promise<AkpJwk[]> {
      const { keys } = await getTrust()
      return keys
        .filter((key) => key.use === 'attestation')
        .map(({ alg, publicKey }) => ({
          ...toJwk(parts.crypto, { alg, publicKey: fromBase64url(publicKey) }),
          use: 'sig',
        }))
    },

    /** Of the current bucket and the next, and how long the answer may be cached, in milliseconds. */
    async listBucketCertificates(): Promise<{ certificates: BucketCertificate[]; cacheMs: number }> {
      const now = parts.clock.now()
      const current = bucketAt(now)
      const wanted = suiteNames.flatMap((suite) => [current, current + 1].map((bucket) => ({ suite, bucket })))
      const keys = await Promise.all(wanted.map(({ suite, bucket }) => parts.temporalKeys.findBucketKey(suite, bucket)))
      const certificates = keys.flatMap((key) => (key === undefined ? [] : [key.certificate]))
      const first = certificates.find((certificate) => certificate.bucket === current)
      if (first === undefined) throw new ServiceError('unavailable', 'The key of the current bucket is being made.')
      // An answer without the next bucket's certificate must not outlive the moment in which it is missing.
      const isWhole = certificates.length === wanted.length
      return { certificates, cacheMs: isWhole ? first.notAfter - now : 0 }
    },
  }
}
