import type { SigningKeyLife } from '../../database/repositories/signing-keys.ts'
import { BUCKET_MS } from '../../protocol/exchange/bucket.ts'
import type { TrustKey } from '../../protocol/trust.ts'
import { type RotatedUse, type RotationTimes, rotatedUses } from '../../runtime/rotation-setting.ts'
import type { SigningKeyKind } from '../signing-keys.ts'

/**
 * What has to be done next with the keys that sign. Each step is a transaction of its own, and the next is planned from what is
 * stored then: a process that ends in between leaves nothing half done.
 */
export type SigningKeyStep =
  /** Keys that do not sign yet, in the next trust bundle. */
  | { step: 'publish'; kinds: SigningKeyKind[] }
  /** Each takes the place of the one before it, whose seed is erased. */
  | { step: 'activate'; successions: { successor: SigningKeyLife; retired: SigningKeyLife }[] }
  /** Nothing that they signed is used any more: the next trust bundle is without them. */
  | { step: 'withdraw'; keys: SigningKeyLife[] }

/**
 * What a retired key signed last is used for so long, beside the caches of the overlap: a certificate until the bucket after the
 * current one and its grace are over, an attestation result for ten minutes.
 */
const LAST_SIGNATURE_MS = 3 * BUCKET_MS

/**
 * `trusted`: the keys of the newest trust bundle. A key that is stored and not among them, or for another use, as somebody who writes
 * to the database could put there, is nobody's successor. Undefined when nothing has to be done.
 */
export function planSigningKeys(
  keys: readonly SigningKeyLife[],
  trusted: readonly TrustKey[],
  times: RotationTimes,
  now: number,
): SigningKeyStep | undefined {
  const rotated = keys.filter((key): key is SigningKeyLife & { use: RotatedUse } =>
    rotatedUses.some((use) => use === key.use),
  )
  const isTrusted = (key: SigningKeyLife) =>
    trusted.some(({ kid, use, alg }) => kid === key.kid && use === key.use && alg === key.alg)
  const active = rotated.filter((key) => key.status === 'ACTIVE' && isTrusted(key))
  const successorOf = ({ use, alg }: SigningKeyKind) =>
    rotated.find((key) => key.status === 'PUBLISHED' && key.use === use && key.alg === alg)

  const successions = active.flatMap((retired) => {
    const successor = successorOf(retired)
    if (successor === undefined || !isTrusted(successor)) return []
    return now >= successor.publishedAt + times.overlap[retired.use] ? [{ successor, retired }] : []
  })
  if (successions.length > 0) return { step: 'activate', successions }

  const over = rotated.filter(
    (key) =>
      key.retiredAt !== undefined &&
      now >= key.retiredAt + times.overlap[key.use] + LAST_SIGNATURE_MS &&
      isTrusted(key),
  )
  if (over.length > 0) return { step: 'withdraw', keys: over }

  const old = active.filter(
    (key) =>
      successorOf(key) === undefined &&
      now >= (key.activatedAt ?? 0) + times.signingKeyAge[key.use] - times.overlap[key.use],
  )
  return old.length > 0 ? { step: 'publish', kinds: old.map(({ use, alg }) => ({ use, alg })) } : undefined
}
