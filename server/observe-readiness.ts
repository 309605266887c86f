import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { observeTogether } from '../runtime/observe-together.ts'
import type { Readiness } from './services/readiness.ts'

/** What `GET /ready` says, for who watches and asks no probe. */
export function observeReadiness({
  readiness,
  metrics,
  logger,
}: {
  readiness: Readiness
  metrics: Pick<Metrics, 'ready' | 'readyWarning'>
  logger: Logger
}): void {
  observeTogether({
    name: 'readiness',
    logger,
    gauges: [metrics.ready, metrics.readyWarning],
    look: () => readiness.check(),
    show({ checks }) {
      for (const [part, { ok, detail }] of Object.entries(checks)) {
        metrics.ready.set({ part }, ok ? 1 : 0)
        metrics.readyWarning.set({ part }, ok && detail !== undefined ? 1 : 0)
      }
    },
  })
}
