import type { NextFunction, Request, Response } from 'express'

const METHODS = 'GET, POST, PUT, PATCH, DELETE'
const REQUEST_HEADERS = 'authorization, cache-control, content-type, last-event-id, qflare-pass, x-request-id'
const ANSWER_HEADERS =
  'location, qflare-pass, ratelimit-limit, ratelimit-remaining, ratelimit-reset, retry-after, x-request-id'
/** Chromium keeps the answer to a preflight no longer. Seconds. */
const PREFLIGHT_SECONDS = 7_200

/**
 * Lets pages of the origins call the API (Fetch standard §3.3, "CORS"); no other page can read an answer, and none sends a
 * body or a token. It stands before the limits, so that a page can read a refusal too. Cookies are never allowed: there are
 * none, and a page that holds no token gets nothing that it could not fetch from elsewhere.
 */
export function allowOrigins(origins: readonly string[]) {
  const allowed = new Set(origins)
  return (req: Request, res: Response, next: NextFunction): void => {
    if (allowed.size === 0 || !isOfTheApi(req.path)) return next()
    // What is cached for one origin is not given to another, nor to who names none.
    res.vary('origin')
    const origin = req.get('origin')
    if (origin !== undefined && allowed.has(origin)) {
      res.set('access-control-allow-origin', origin)
      res.set('access-control-expose-headers', ANSWER_HEADERS)
    }
    next()
  }
}

/** Answers what a browser asks before it lets an allowed page send; it stands behind the limits, like every answer. */
export function answerPreflight(req: Request, res: Response, next: NextFunction): void {
  const isPreflight = req.method === 'OPTIONS' && req.get('access-control-request-method') !== undefined
  if (!isPreflight || !res.hasHeader('access-control-allow-origin')) return next()
  res.set('access-control-allow-methods', METHODS)
  res.set('access-control-allow-headers', REQUEST_HEADERS)
  res.set('access-control-max-age', String(PREFLIGHT_SECONDS))
  res.status(204).end()
}

/** Health and metrics are not for pages, whatever port they are served at. */
function isOfTheApi(path: string): boolean {
  return path.startsWith('/v1/') || path.startsWith('/.well-known/')
}
