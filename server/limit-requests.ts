import type { NextFunction, Request, Response } from 'express'
import type { Authenticate } from './authenticate.ts'
import type { Caller } from './caller.ts'
import { clientAddress } from './client-address.ts'
import { ServiceError } from './errors.ts'
import type { RateLimitState } from './rate-limit.ts'
import type { RateLimits } from './rate-limits.ts'

/** Counts every request of an address, but for the paths that tell whether the service is well. */
export function limitAddress(limits: RateLimits, freePaths: ReadonlySet<string>) {
  return async (req: Request, res: Response, next: NextFunction): Promise<void> => {
    if (!freePaths.has(req.path)) noteRateLimit(res, await limits.take('address', clientAddress(req)))
    next()
  }
}

/** `authenticate` under the limits of whoever proves to be somebody, and of who proves to be nobody. Throws `rate_limited` too. */
export async function authenticateWithinLimits(
  { authenticate, limits }: { authenticate: Authenticate; limits: RateLimits },
  req: Request,
  res: Response,
): Promise<Caller> {
  const authorization = req.get('authorization')
  const isApiToken = /^bearer qf_/i.test(authorization ?? '')
  if (isApiToken) await limits.check('address_refused', clientAddress(req))
  try {
    const caller = await authenticate(authorization)
    await countCaller(limits, caller, res)
    return caller
  } catch (error) {
    const isRefused = error instanceof ServiceError && error.code === 'unauthenticated'
    if (isApiToken && isRefused) await limits.take('address_refused', clientAddress(req))
    throw error
  }
}

async function countCaller(limits: RateLimits, caller: Caller, res: Response): Promise<void> {
  if (caller.type === 'anonymous') return
  const states =
    caller.type === 'api_token'
      ? [await limits.take('organization', caller.organizationId)]
      : await limits.takePrincipal(caller)
  for (const state of states) noteRateLimit(res, state)
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
