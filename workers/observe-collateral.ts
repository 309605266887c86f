import type { Database } from '../database/open.ts'
import { summarizeCollateral } from '../database/repositories/collateral-alarms.ts'
import { collateralKinds } from '../protocol/attestation/evidence-format.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Metrics } from '../runtime/metrics.ts'

/**
 * What is in use is read when somebody asks: every worker process says the same, whichever ran the job, and nothing is left of what was
 * replaced. Of kinds that this release knows, whatever stands in the table.
 */
export function observeCollateral({
  database,
  clock,
  metrics,
}: {
  database: Database
  clock: Pick<Clock, 'now'>
  metrics: Metrics
}): void {
  const look = () => database.withoutOrganization((tx) => summarizeCollateral(tx, clock.now()))
  // Metrics are asked for all at once: one look serves them.
  let looking: ReturnType<typeof look> | undefined
  const see = () => {
    looking ??= look().finally(() => {
      looking = undefined
    })
    return looking
  }

  type Found = Awaited<ReturnType<typeof look>>[number]
  function collect(gauge: Metrics['collateralOutOfDate'], valueOf: (found: Found | undefined) => number | undefined) {
    Object.assign(gauge, {
      async collect() {
        const found = await see()
        gauge.reset()
        for (const kind of collateralKinds) {
          const value = valueOf(found.find((one) => one.kind === kind))
          if (value !== undefined) gauge.set({ kind }, value)
        }
      },
    })
  }

  const since = (at: number) => (clock.now() - at) / 1_000
  collect(metrics.collateralEndsInSeconds, (found) => (found?.endsAt === undefined ? undefined : -since(found.endsAt)))
  collect(metrics.collateralOutOfDate, (found) => found?.outOfDate ?? 0)
  collect(metrics.collateralAgeSeconds, (found) => found && since(found.issuedAt))
}
