import { createBullBoard } from '@bull-board/api'
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter'
import { ExpressAdapter } from '@bull-board/express'
import type { Queue } from 'bullmq'
import { type NextFunction, type Request, type Response, Router } from 'express'
import { requireAccess } from './authenticate.ts'
import { ServiceError } from './errors.ts'
import { type AuthenticationParts, authenticateWithinLimits } from './limit-requests.ts'

export const BOARD_PATH = '/admin/queues'

/** Bull Board, which knows no queue but BullMQ's own class. */
export type BoardQueue = ConstructorParameters<typeof BullMQAdapter>[0]

/** Inline styles alone are allowed, which the page sets on its elements; scripts, fonts and everything else are its own files. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'self'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/**
 * What the queues hold, as a page for administrators of the service: HTTP Basic, with an API token as the password and any name.
 * It only shows. A browser sends these credentials with whatever another page makes it ask; what changes something is asked for
 * over the API, and leaves an event.
 */
export function queueBoard(parts: AuthenticationParts & { queues: readonly Pick<Queue, 'name'>[] }): Router {
  const serverAdapter = new ExpressAdapter()
  serverAdapter.setBasePath(BOARD_PATH)
  createBullBoard({
    queues: parts.queues.map((queue) => new BullMQAdapter(queue as BoardQueue, { readOnlyMode: true })),
    serverAdapter,
    options: { uiConfig: { boardTitle: 'QFLARE', hideRedisDetails: true } },
  })
  const router = Router()
  router.use(async (req: Request, res: Response, next: NextFunction) => {
    res.locals.route = BOARD_PATH
    res.set({ 'content-security-policy': POLICY, 'cache-control': 'no-store' })
    await requireServiceAdmin(parts, req, res)
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.set('allow', 'GET, HEAD')
      throw new ServiceError('method_not_allowed', 'This page only shows; qflare jobs runs and retries.')
    }
    next()
  })
  router.use(serverAdapter.getRouter())
  return router
}

async function requireServiceAdmin(parts: AuthenticationParts, req: Request, res: Response): Promise<void> {
  try {
    const caller = await authenticateWithinLimits(parts, toBearer(req.get('authorization')), req, res)
    res.locals.caller = caller
    requireAccess('service_admin', caller, true)
  } catch (error) {
    if (error instanceof ServiceError && error.code === 'unauthenticated') {
      res.locals.challenge = 'Basic realm="QFLARE queues", charset="UTF-8"'
    }
    throw error
  }
}

const MAX_HEADER_LENGTH = 1_024

/** The password of HTTP Basic as a Bearer token. What is no such header proves nothing, a Bearer token neither. */
function toBearer(authorization: string | undefined): string | undefined {
  const basic = /^Basic ([A-Za-z0-9+/]+={0,2})$/i.exec(authorization?.slice(0, MAX_HEADER_LENGTH) ?? '')?.[1]
  if (basic === undefined) return undefined
  const pair = Buffer.from(basic, 'base64').toString('utf8')
  return `Bearer ${pair.slice(pair.indexOf(':') + 1)}`
}
