import type { LimitsPerMinute } from '../runtime/config.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { ServiceError } from './errors.ts'
import { createMemoryRateLimit, type RateLimit, type RateLimitState } from './rate-limit.ts'

/**
 * What is limited, and by which key:
 * - `address`: every request of an address.
 * - `address_refused`: refused API tokens of an address. It turns away those alone: behind one address there may be a proxy and
 *   everybody, who must not be locked out by whoever guesses there.
 * - `api_token`: every request with an API token, also one that it may not make.
 * - `device`: what a device has proved to be its own, an exchange that was stored or a call with its access token. What anybody
 *   can send in its name does not count, or sending it would lock the device out; nor does a message that is sent again.
 * - `device_slowed`: the same, of a device that the security monitor has slowed.
 * - `organization`: what anybody of it has proved to be and may do. It does not turn its admins away.
 */
export type RateLimitName = 'address' | 'address_refused' | 'api_token' | 'device' | 'device_slowed' | 'organization'

/** What a device asks for by itself, and little more: it exchanges, attests and asks for its place in a round all the same. */
export const SLOWED_PER_MINUTE = 10

export class RateLimitedError extends ServiceError {
  readonly state: RateLimitState

  constructor(name: RateLimitName, state: RateLimitState) {
    super('rate_limited', details[name], { retryAfterSeconds: state.resetSeconds })
    this.name = 'RateLimitedError'
    this.state = state
  }
}

const details = {
  address: 'Too many requests come from this address.',
  address_refused: 'Too many API tokens of this address were refused.',
  api_token: 'This API token asks too often.',
  device: 'This device asks too often.',
  device_slowed: 'This device asks too often, while it is slowed for an incident.',
  organization: 'This organization asks too often.',
} as const satisfies Record<RateLimitName, string>

/** Undefined where a limit is off. */
export interface RateLimits {
  /** Counts a request. Throws RateLimitedError. */
  take(name: RateLimitName, key: string): Promise<RateLimitState | undefined>
  /** Throws as `take` would, and counts nothing. */
  check(name: RateLimitName, key: string): Promise<void>
  /** Counts what is let through whatever is left, and what weighs as several requests. */
  count(name: RateLimitName, key: string, requests?: number): Promise<RateLimitState | undefined>
}

/** `createLimit` makes one that is on: by default, of this process alone. */
export function createRateLimits(
  perMinute: LimitsPerMinute,
  metrics: Metrics,
  createLimit: (name: RateLimitName, limit: number) => RateLimit = (_name, limit) => createMemoryRateLimit(limit),
): RateLimits {
  const create = (name: RateLimitName, limit: number) => (limit === 0 ? undefined : createLimit(name, limit))
  const limits: Record<RateLimitName, RateLimit | undefined> = {
    address: create('address', perMinute.address),
    address_refused: create('address_refused', perMinute.addressRefused),
    api_token: create('api_token', perMinute.apiToken),
    device: create('device', perMinute.device),
    device_slowed: create('device_slowed', SLOWED_PER_MINUTE),
    organization: create('organization', perMinute.organization),
  }

  function refuseExceeded(name: RateLimitName, state: RateLimitState | undefined): void {
    if (state?.isExceeded !== true) return
    metrics.rateLimited.inc({ limit: name })
    throw new RateLimitedError(name, state)
  }

  return {
    async take(name, key) {
      const state = await limits[name]?.take(key)
      refuseExceeded(name, state)
      return state
    },
    async check(name, key) {
      refuseExceeded(name, await limits[name]?.peek(key))
    },
    count: async (name, key, requests) => limits[name]?.take(key, requests),
  }
}
