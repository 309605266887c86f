import type { LimitsPerMinute } from '../runtime/config.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { ServiceError } from './errors.ts'
import { createMemoryRateLimit, type RateLimit, type RateLimitState } from './rate-limit.ts'

/**
 * What is limited, and by which key:
 * - `address`: every request of an address.
 * - `address_refused`: refused API tokens of an address. Only requests with API tokens are turned away for it: behind one address
 *   there may be a fleet, which must not be locked out by whoever guesses there.
 * - `device`: what a device has proved to be its own, a signed exchange or a call with its access token. What anybody can send in
 *   its name does not count, or sending it would lock the device out.
 * - `organization`: what anybody of it has proved to be.
 */
export type RateLimitName = 'address' | 'address_refused' | 'device' | 'organization'

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
  device: 'This device asks too often.',
  organization: 'This organization asks too often.',
} as const satisfies Record<RateLimitName, string>

export interface RateLimits {
  /** Counts a request. Undefined where this limit is off. Throws RateLimitedError. */
  take(name: RateLimitName, key: string): Promise<RateLimitState | undefined>
  /** Throws as `take` would, and counts nothing. */
  check(name: RateLimitName, key: string): Promise<void>
  /** Counts what a device or coordinator has proved to have sent: for itself and for its organization. */
  takePrincipal(principal: { id: string; organizationId: string }): Promise<(RateLimitState | undefined)[]>
}

export function createRateLimits(perMinute: LimitsPerMinute, metrics: Metrics): RateLimits {
  const create = (limit: number): RateLimit | undefined => (limit === 0 ? undefined : createMemoryRateLimit(limit))
  const limits: Record<RateLimitName, RateLimit | undefined> = {
    address: create(perMinute.address),
    address_refused: create(perMinute.addressRefused),
    device: create(perMinute.device),
    organization: create(perMinute.organization),
  }

  function refuseExceeded(name: RateLimitName, state: RateLimitState | undefined): void {
    if (state?.isExceeded !== true) return
    metrics.rateLimited.inc({ limit: name })
    throw new RateLimitedError(name, state)
  }

  async function take(name: RateLimitName, key: string): Promise<RateLimitState | undefined> {
    const state = await limits[name]?.take(key)
    refuseExceeded(name, state)
    return state
  }

  return {
    take,
    async check(name, key) {
      refuseExceeded(name, await limits[name]?.peek(key))
    },
    async takePrincipal({ id, organizationId }) {
      // What the device is refused does not count for its organization.
      return [await take('device', id), await take('organization', organizationId)]
    },
  }
}
