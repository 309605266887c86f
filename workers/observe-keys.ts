import type { Database } from '../database/open.ts'
import { listKekLives } from '../database/repositories/keks.ts'
import { listSigningKeyEnds } from '../database/repositories/signing-keys.ts'
import { listLiveTemporalKeys } from '../database/repositories/temporal-keys.ts'
import { findTrustDraft } from '../database/repositories/trust-drafts.ts'
import { BUCKET_MS, bucketAt, GRACE_MS } from '../protocol/exchange/bucket.ts'
import type { Clock } from '../runtime/clock.ts'
import { KEK_USE_BUDGET } from '../runtime/custody/kek-uses.ts'
import { countedPurposes } from '../runtime/custody/keyring.ts'
import { sealPurposes } from '../runtime/custody/sealed-record.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { observeTogether } from '../runtime/observe-together.ts'

/** Of all processes: whichever of them made or destroyed a key. */
export function observeKeys(parts: {
  database: Database
  clock: Pick<Clock, 'now'>
  metrics: Metrics
  logger: Logger
}): void {
  const { database, clock, metrics, logger } = parts
  observeTogether({
    name: 'keys',
    logger,
    gauges: [
      metrics.temporalKeys,
      metrics.temporalKeysAheadSeconds,
      metrics.temporalKeysOverdueSeconds,
      metrics.bucketRolloverLagSeconds,
      metrics.signingKeyExpiresSeconds,
      metrics.kekUsesRatio,
      metrics.trustBundleDraftAgeSeconds,
    ],
    look: () =>
      database.withoutOrganization(async (tx) => ({
        temporal: await listLiveTemporalKeys(tx),
        signing: await listSigningKeyEnds(tx),
        keks: await listKekLives(tx),
        draft: await findTrustDraft(tx),
      })),
    show({ temporal, signing, keks, draft }) {
      const now = clock.now()
      for (const kind of ['epoch', 'bucket'] as const) {
        const numbers = temporal.filter((key) => key.kind === kind).map(({ number }) => number)
        metrics.temporalKeys.set({ state: kind }, numbers.length)
        metrics.temporalKeysAheadSeconds.set({ state: kind }, millisecondsAhead(numbers, now) / 1_000)
        if (kind === 'bucket') metrics.bucketRolloverLagSeconds.set(millisecondsLate(numbers, now) / 1_000)
      }
      const oldest = temporal[0]?.number ?? bucketAt(now)
      metrics.temporalKeysOverdueSeconds.set(Math.max(0, now - (oldest + 1) * BUCKET_MS - GRACE_MS) / 1_000)
      for (const { use, endsAt } of signing) metrics.signingKeyExpiresSeconds.set({ use }, endsAt / 1_000)
      for (const purpose of countedPurposes) {
        const seals = keks.find((kek) => kek.purpose === sealPurposes[purpose] && kek.retiredAt === undefined)
        if (seals?.uses !== undefined) metrics.kekUsesRatio.set({ purpose }, seals.uses / KEK_USE_BUDGET)
      }
      metrics.trustBundleDraftAgeSeconds.set(draft === undefined ? 0 : Math.max(0, now - draft.createdAt) / 1_000)
    },
  })
}

/** Until the first bucket from now on that has no key. */
function millisecondsAhead(numbers: readonly number[], now: number): number {
  let next = bucketAt(now)
  while (numbers.includes(next)) next++
  return Math.max(0, next * BUCKET_MS - now)
}

/** Since the bucket of now, or the first of those before it without a key, began. */
function millisecondsLate(numbers: readonly number[], now: number): number {
  const current = bucketAt(now)
  if (numbers.includes(current)) return 0
  const newest = Math.max(...numbers.filter((number) => number < current))
  return now - (Number.isFinite(newest) ? newest + 1 : current) * BUCKET_MS
}
