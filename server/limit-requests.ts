import type { NextFunction, Request, Response } from 'express'
import type { Metrics } from '../runtime/metrics.ts'
import type { Authenticate } from './authenticate.ts'
import { type Caller, hasRole } from './caller.ts'
import { isStranger, type Lanes, limitedAs, runOpenWork } from './claimants.ts'
import { clientAddress } from './client-address.ts'
import { ServiceError } from './errors.ts'
import type { RateLimitState } from './rate-limit.ts'
import type { RateLimits } from './rate-limits.ts'

/**
 * Counts every request of an address, or of a device with a pass for itself, but for the paths that tell whether the service is well.
 */
export function limitAddress(limits: RateLimits, freePaths: ReadonlySet<string>) {
  return async (req: Request, res: Response, next: NextFunction): Promise<void> => {
    if (!freePaths.has(req.path)) noteRateLimit(res, await limits.take('address', limitedAs(res)))
    next()
  }
}

export interface AuthenticationParts {
  authenticate: Authenticate
  limits: RateLimits
  lanes: Lanes
  metrics: Metrics
}

/**
 * `authenticate` under the limits of who proves to be somebody, and of who proves to be nobody: a right token is taken however
 * many wrong ones came from its address. One that has to be looked for waits for its turn. Throws `rate_limited` and `overloaded` too.
 */
export async function authenticateWithinLimits(
  { authenticate, limits, lanes, metrics }: AuthenticationParts,
  authorization: string | undefined,
  req: Request,
  res: Response,
  looksUpSession?: boolean,
): Promise<Caller> {
  let caller: Caller
  try {
    const work = () => authenticate(authorization, looksUpSession)
    caller = isStranger(res) ? await runOpenWork({ lanes, metrics }, res, work) : await work()
  } catch (error) {
    const isRefused = error instanceof ServiceError && error.code === 'unauthenticated'
    if (isRefused && /^bearer qf_/i.test(authorization ?? '')) await limits.take('address_refused', clientAddress(req))
    throw error
  }
  if (caller.type === 'api_token') noteRateLimit(res, await limits.take('api_token', caller.id))
  else if (caller.type !== 'anonymous') {
    noteRateLimit(res, await limits.take('device', caller.id))
    if (caller.isSlowed === true) noteRateLimit(res, await limits.take('device_slowed', caller.id))
  }
  return caller
}

/**
 * Counts for the organization of the caller what he was let through to, or who may nothing could use up what the others may. An
 * admin is not turned away: he has to be able to end what uses it up, and his token has a limit of its own.
 */
export async function limitOrganization(limits: RateLimits, caller: Caller, res: Response): Promise<void> {
  if (caller.type === 'anonymous') return
  const { organizationId } = caller
  if (hasRole(caller, 'admin')) await limits.count('organization', organizationId)
  else noteRateLimit(res, await limits.take('organization', organizationId))
}

/** Counts a request as `weight` of them, once it was let through as one. */
export async function weighRequest(limits: RateLimits, caller: Caller, weight: number, res: Response): Promise<void> {
  if (caller.type !== 'api_token' || weight < 2) return
  noteRateLimit(res, await limits.count('api_token', caller.id, weight - 1))
  const state = await limits.count('organization', caller.organizationId, weight - 1)
  if (!hasRole(caller, 'admin')) noteRateLimit(res, state)
}

/** Of several limits the headers say that of which the least is left. */
export function noteRateLimit(res: Response, state: RateLimitState | undefined): void {
  if (state === undefined) return
  const noted = res.getHeader('ratelimit-remaining')
  if (noted !== undefined && Number(noted) < state.remaining) return
  res.setHeader('ratelimit-limit', String(state.limit))
  res.setHeader('ratelimit-remaining', String(state.remaining))
  res.setHeader('ratelimit-reset', String(state.resetSeconds))
}
