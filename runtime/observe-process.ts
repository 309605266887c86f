import type { Clock } from './clock.ts'
import type { Metrics } from './metrics.ts'

interface Pool {
  connections(): { total: number; idle: number; waiting: number }
}

/** What every process shows of itself, whatever its roles are. `pools`: of one role of the database there may be several. */
export function observeProcess(parts: {
  clock: Pick<Clock, 'offsetMs'>
  pools: readonly { role: string; pool: Pool }[]
  metrics: Pick<Metrics, 'clockOffsetSeconds' | 'databaseConnections'>
}): void {
  const { clockOffsetSeconds, databaseConnections } = parts.metrics
  Object.assign(clockOffsetSeconds, { collect: () => clockOffsetSeconds.set(parts.clock.offsetMs() / 1_000) })
  Object.assign(databaseConnections, {
    collect() {
      databaseConnections.reset()
      for (const { role, pool } of parts.pools) {
        for (const [state, count] of Object.entries(pool.connections()))
          databaseConnections.inc({ db_role: role, state }, count)
      }
    },
  })
}
