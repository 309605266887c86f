import { RateLimiterMemory } from 'rate-limiter-flexible'

export const WINDOW_SECONDS = 60

/**
 * Keys that one limit remembers, about 500 bytes each. The one that was seen first is forgotten for one more: who has that many
 * addresses is not stopped by a limit per address, and must not fill the memory or take the place of others either.
 */
export const MAX_KEYS = 50_000

export interface RateLimitState {
  /** Requests in a window. */
  limit: number
  /** Of them, how many are left. */
  remaining: number
  /** Until the window of this key ends. At least 1. */
  resetSeconds: number
  /** The request that was counted, or would be now, is over the limit. */
  isExceeded: boolean
}

/**
 * Counts requests by key, each in a window of a minute that begins with its first request: of this process, whose counts are gone
 * when it ends, or of all that share a Redis (shared-rate-limit.ts).
 */
export interface RateLimit {
  /** Counts one request, or something that weighs as several; -1 takes one back. */
  take(key: string, requests?: number): Promise<RateLimitState>
  /** What `take` would say, without counting. */
  peek(key: string): Promise<RateLimitState>
}

/** `limit` is at least 1. */
export function createMemoryRateLimit(limit: number, maxKeys = MAX_KEYS): RateLimit {
  const limiter = new RateLimiterMemory({ points: limit, duration: WINDOW_SECONDS, keyPrefix: '' })
  // The limiter has no bound of its own. A key stays here after its window; to delete it again then does nothing.
  const known = new Set<string>()
  // A ring: to ask a Set for its first member again and again passes all that were deleted before it.
  const inOrder: string[] = []
  let next = 0

  async function remember(key: string): Promise<void> {
    if (known.has(key)) return
    const forgotten = inOrder[next]
    known.add(key)
    inOrder[next] = key
    next = (next + 1) % maxKeys
    if (forgotten === undefined) return
    known.delete(forgotten)
    await limiter.delete(forgotten)
  }

  return {
    async take(key, requests = 1) {
      await remember(key)
      // It counts as `consume` does, and does not throw when the limit is exceeded, which under attack is the common case.
      const { consumedPoints, msBeforeNext } = await limiter.penalty(key, requests)
      return toRateLimitState(limit, consumedPoints, msBeforeNext, consumedPoints > limit)
    },
    async peek(key) {
      const found = await limiter.get(key)
      if (found === null || found.msBeforeNext <= 0) return toRateLimitState(limit, 0, WINDOW_SECONDS * 1000, false)
      return toRateLimitState(limit, found.consumedPoints, found.msBeforeNext, found.consumedPoints >= limit)
    },
  }
}

export function toRateLimitState(
  limit: number,
  consumed: number,
  msBeforeNext: number,
  isExceeded: boolean,
): RateLimitState {
  return {
    limit,
    remaining: Math.max(0, limit - consumed),
    resetSeconds: Math.max(1, Math.ceil(msBeforeNext / 1000)),
    isExceeded,
  }
}
