import type { Logger } from './logger.ts'

/** Whoever asks for metrics gives up after ten seconds, and has then lost all of them. */
const ANSWER_MS = 5_000

/** A gauge as far as it is observed: whatever its labels are. */
interface ObservedGauge {
  reset(): void
  remove(labels: object): void
}

export interface Observation<T> {
  /** Asked for all at once: one look serves them. */
  gauges: readonly ObservedGauge[]
  look: () => Promise<T>
  /** Sets the gauges, which have no values before. */
  show: (found: T) => void
  /** What was found is shown to whoever asks again within so long. */
  keepMs?: number
  /** What cannot be read, for the log. */
  name: string
  logger: Pick<Logger, 'warn'>
}

/**
 * Gauges that are read when somebody asks for them. A look that fails, or does not end in time, leaves them without values: no number
 * is better than an old one, and all other metrics are answered. One that takes longer is shown to whoever asks next.
 */
export function observeTogether<T>({ gauges, look, show, keepMs = 0, name, logger }: Observation<T>): void {
  let goodUntil = Number.NEGATIVE_INFINITY
  let looking: Promise<void> | undefined
  let isWell = true

  function blank(): void {
    for (const gauge of gauges) {
      gauge.reset()
      // Without labels a reset sets 0.
      gauge.remove({})
    }
  }

  async function lookOnce(): Promise<void> {
    try {
      const found = await look()
      blank()
      show(found)
      goodUntil = performance.now() + keepMs
      isWell = true
    } catch (error) {
      blank()
      if (isWell) logger.warn(`metrics cannot be read: ${name}: ${error instanceof Error ? error.message : 'failed'}`)
      isWell = false
    } finally {
      looking = undefined
    }
  }

  async function collect(): Promise<void> {
    if (performance.now() < goodUntil) return
    looking ??= lookOnce()
    const late = Promise.withResolvers<'late'>()
    const timer = setTimeout(() => late.resolve('late'), ANSWER_MS)
    if ((await Promise.race([looking, late.promise])) === 'late') blank()
    clearTimeout(timer)
  }

  for (const gauge of gauges) Object.assign(gauge, { collect })
}
