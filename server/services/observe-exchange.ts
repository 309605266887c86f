import type { Metrics } from '../../runtime/metrics.ts'
import { ServiceError } from '../errors.ts'

/** Counts how a step of an exchange ends, by its name or by the code of the refusal, and takes its time. */
export async function observeExchange<T>(
  metrics: Metrics,
  step: 'opened' | 'established',
  work: () => Promise<T>,
): Promise<T> {
  const stopTimer = metrics.exchangeSeconds.startTimer({ step })
  try {
    const result = await work()
    metrics.exchanges.inc({ result: step })
    return result
  } catch (error) {
    metrics.exchanges.inc({ result: error instanceof ServiceError ? error.code : 'internal' })
    throw error
  } finally {
    stopTimer()
  }
}
