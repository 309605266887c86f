import type { NextFunction, Request, Response } from 'express'
import type { Logger } from '../runtime/logger.ts'

/** Where no proxy is trusted: says once that one seems to be there, since then all who come through it count as one address. */
export function warnOfProxy(logger: Logger) {
  let isSaid = false
  return (req: Request, _res: Response, next: NextFunction): void => {
    if (!isSaid && req.headers['x-forwarded-for'] !== undefined) {
      isSaid = true
      logger.warn(
        'a request came with X-Forwarded-For, and QFLARE_TRUST_PROXY names no proxy: all who come through one count as one address',
      )
    }
    next()
  }
}
