import { ProtocolError } from '../protocol/errors.ts'
import { bucketAt, isBucketAccepted, verifyBucketCertificate } from '../protocol/exchange/bucket.ts'
import type { BucketCertificate } from '../protocol/exchange/messages.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { Suite } from '../protocol/suites.ts'
import type { TrustBundle } from '../protocol/trust.ts'
import { QflareError } from './errors.ts'

/**
 * The certificate to use, with everything checked that docs/protocol.md §2 names: the suite, the clock inside the window, the
 * floor, the dates, the kid and the signature. Throws `suite_refused`, or the `ProtocolError` `bucket_out_of_window` when none
 * fits the clock, `certificate_invalid` when what fits it is below the floor or not signed by a key of the bundle.
 */
export function selectCertificate(
  crypto: Primitives,
  certificates: readonly BucketCertificate[],
  limits: { trust: TrustBundle; bucketFloor: number; allowedSuites: readonly Suite[]; now: number },
): BucketCertificate {
  const { trust, bucketFloor, allowedSuites, now } = limits
  const allowed = certificates.filter(({ suite }) => allowedSuites.includes(suite))
  if (allowed.length === 0) {
    throw new QflareError('suite_refused', `The server offers none of the suites ${allowedSuites.join(', ')}.`)
  }
  const current = bucketAt(now)
  const distance = ({ bucket }: BucketCertificate) => Math.abs(bucket - current)
  const inWindow = allowed.filter(({ bucket }) => isBucketAccepted(bucket, now))
  if (inWindow.length === 0) {
    throw new ProtocolError(
      'bucket_out_of_window',
      'No bucket certificate of the server fits the clock of this device.',
    )
  }
  const [nearest] = inWindow
    .filter(({ bucket }) => bucket >= bucketFloor)
    .sort((a, b) => distance(a) - distance(b) || b.bucket - a.bucket)
  if (nearest === undefined) {
    throw new ProtocolError('certificate_invalid', `The certificates are below bucket ${bucketFloor}, which was used.`)
  }
  return verifyBucketCertificate(crypto, nearest, trust)
}
