/** Pauses. Rejects with the signal's reason as soon as it is aborted. */
export type Wait = (ms: number, signal?: AbortSignal) => Promise<void>

/** Timers hold 31 bits of milliseconds; a longer pause would end at once. */
const LONGEST_MS = 2 ** 31 - 1

export const wait: Wait = (ms, signal) =>
  new Promise((resolve, reject) => {
    signal?.throwIfAborted()
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason as Error)
    }
    const timer = setTimeout(
      () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      },
      Math.min(ms, LONGEST_MS),
    )
    signal?.addEventListener('abort', onAbort, { once: true })
  })

/**
 * Exponential backoff with full jitter: anything from nothing to `firstMs`, then to twice as much, and so on to `longestMs`.
 * A fleet that lost its server together does not come back together.
 */
export function backoffMs(failures: number, limits: { firstMs: number; longestMs: number }): number {
  return Math.round(Math.random() * Math.min(limits.longestMs, limits.firstMs * 2 ** (failures - 1)))
}

/** What the server asked for, and up to a quarter more, for the same reason. */
export function spreadRetryAfterMs(seconds: number): number {
  return Math.round(seconds * 1000 * (1 + Math.random() / 4))
}
