import type { Database } from '../database/open.ts'
import { countDevices } from '../database/repositories/list-principals.ts'
import { listOrganizations } from '../database/repositories/organizations.ts'
import { principalStatuses } from '../protocol/enrollment.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { observeTogether } from '../runtime/observe-together.ts'

const COUNT_EVERY_MS = 60_000
const PAGE = 1_000

/** Of all organizations, one after another, each as itself: every process of the API says the same. */
export function observeDevices({
  database,
  metrics,
  logger,
}: {
  database: Database
  metrics: Metrics
  logger: Logger
}): void {
  observeTogether({
    name: 'devices',
    logger,
    keepMs: COUNT_EVERY_MS,
    gauges: [metrics.devices],
    look: () => countAllDevices(database),
    show(counts) {
      for (const status of principalStatuses) metrics.devices.set({ status }, counts[status])
    },
  })
}

async function countAllDevices(database: Database) {
  const counts = Object.fromEntries(principalStatuses.map((status) => [status, 0])) as Record<
    (typeof principalStatuses)[number],
    number
  >
  let beforeId: string | undefined
  for (;;) {
    const page = await database.withoutOrganization((tx) => listOrganizations(tx, { limit: PAGE, beforeId }))
    for (const { id } of page) {
      const found = await database.withOrganization(id, countDevices)
      for (const status of principalStatuses) counts[status] += found[status]
    }
    beforeId = page.at(-1)?.id
    if (page.length < PAGE) return counts
  }
}
