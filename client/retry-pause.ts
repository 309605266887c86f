import { ProtocolError } from '../protocol/errors.ts'
import { QflareError } from './errors.ts'
import { backoffMs, spreadRetryAfterMs } from './wait.ts'

/** A server that is back is found within a minute, by a fleet that does not come back as one. */
const OUTAGE = { firstMs: 2_000, longestMs: 60_000 }
/** A refusal is lifted by people, if at all. */
const REFUSAL = { firstMs: 10_000, longestMs: 300_000 }
const refusing = [401, 403, 409]
const refusingCodes = ['quarantined', 'policy_refused']

/** Whether trying again later may help. */
export function isPassing(error: unknown): error is QflareError | ProtocolError {
  return error instanceof ProtocolError || (error instanceof QflareError && error.code !== 'not_enrolled')
}

/** How long to wait after so many failures in a row, in milliseconds. */
export function pauseAfter(error: QflareError | ProtocolError, failures: number): number {
  if (error instanceof ProtocolError) return backoffMs(failures, REFUSAL)
  const isRefused = refusing.includes(error.status ?? 0) || refusingCodes.includes(error.code)
  const backoff = backoffMs(failures, isRefused ? REFUSAL : OUTAGE)
  return Math.max(backoff, spreadRetryAfterMs(error.retryAfterSeconds ?? 0))
}
