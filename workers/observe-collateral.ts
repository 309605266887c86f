import type { Database } from '../database/open.ts'
import { summarizeCollateral } from '../database/repositories/collateral-alarms.ts'
import { collateralKinds } from '../protocol/attestation/evidence-format.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { observeTogether } from '../runtime/observe-together.ts'

/**
 * What is in use is read when somebody asks: every worker process says the same, whichever ran the job, and nothing is left of what was
 * replaced. Of kinds that this release knows, whatever stands in the table.
 */
export function observeCollateral({
  database,
  clock,
  metrics,
  logger,
}: {
  database: Database
  clock: Pick<Clock, 'now'>
  metrics: Metrics
  logger: Logger
}): void {
  const since = (at: number) => (clock.now() - at) / 1_000
  observeTogether({
    name: 'collateral',
    logger,
    gauges: [metrics.collateralEndsInSeconds, metrics.collateralOutOfDate, metrics.collateralAgeSeconds],
    look: () => database.withoutOrganization((tx) => summarizeCollateral(tx, clock.now())),
    show(summaries) {
      for (const kind of collateralKinds) {
        const found = summaries.find((one) => one.kind === kind)
        metrics.collateralOutOfDate.set({ kind }, found?.outOfDate ?? 0)
        if (found === undefined) continue
        metrics.collateralAgeSeconds.set({ kind }, since(found.issuedAt))
        if (found.endsAt !== undefined) metrics.collateralEndsInSeconds.set({ kind }, -since(found.endsAt))
      }
    },
  })
}
