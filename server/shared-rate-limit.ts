import type { Redis } from 'ioredis'
import { RateLimiterRedis } from 'rate-limiter-flexible'
import type { OptionalRedis } from '../runtime/optional-redis.ts'
import {
  createMemoryRateLimit,
  type RateLimit,
  type RateLimitState,
  toRateLimitState,
  WINDOW_SECONDS,
} from './rate-limit.ts'

/**
 * The same limit for all processes of one Redis. What this process sees it counts for itself too, and the worse of both counts:
 * so a limit is never off when Redis is away, forgets everything or is slow, and nobody who is over it is let through then.
 * `prefix` keeps limits and services on one Redis apart.
 */
export function createSharedRateLimit(
  limit: number,
  { redis, shared, prefix }: { redis: Redis; shared: OptionalRedis; prefix: string },
): RateLimit {
  const own = createMemoryRateLimit(limit)
  const limiter = new RateLimiterRedis({
    storeClient: redis,
    points: limit,
    duration: WINDOW_SECONDS,
    keyPrefix: prefix,
    rejectIfRedisNotReady: true,
  })
  const idle = toRateLimitState(limit, 0, WINDOW_SECONDS * 1000, false)

  return {
    async take(key, requests = 1) {
      const counted = await own.take(key, requests)
      const found = await shared.ask(() => limiter.penalty(key, requests))
      if (found === undefined) return counted
      const { consumedPoints, msBeforeNext } = found.answer
      return worseOf(counted, toRateLimitState(limit, consumedPoints, msBeforeNext, consumedPoints > limit))
    },
    async peek(key) {
      const seen = await own.peek(key)
      const found = await shared.ask(() => limiter.get(key))
      if (found === undefined) return seen
      const state = found.answer
      const isThere = state !== null && state.msBeforeNext > 0
      const { consumedPoints, msBeforeNext } = isThere ? state : { consumedPoints: 0, msBeforeNext: 0 }
      return worseOf(
        seen,
        isThere ? toRateLimitState(limit, consumedPoints, msBeforeNext, consumedPoints >= limit) : idle,
      )
    },
  }
}

function worseOf(own: RateLimitState, shared: RateLimitState): RateLimitState {
  if (own.isExceeded !== shared.isExceeded) return own.isExceeded ? own : shared
  return own.remaining < shared.remaining ? own : shared
}
