import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Queue } from 'bullmq'
import express, { type Express, type NextFunction, type Request, type Response } from 'express'
import helmet, { type HelmetOptions } from 'helmet'
import { isUuid } from '../protocol/encoding.ts'
import { newId } from '../runtime/ids.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import type { Tracer } from '../runtime/tracing/tracer.ts'
import { allowOrigins, answerPreflight } from './allow-origins.ts'
import { type Authenticate, requireAccess } from './authenticate.ts'
import type { BodyRoom, GrowBody } from './body-room.ts'
import { boundPipelining } from './bound-pipelining.ts'
import type { Caller } from './caller.ts'
import { claimantOf, identifyClaimant, isKnown, type Lanes, runOpenWork, turnAwayWhenFull } from './claimants.ts'
import { clientNetwork } from './client-address.ts'
import { ServiceError } from './errors.ts'
import {
  authenticateWithinLimits,
  limitAddress,
  limitOrganization,
  noteRateLimit,
  weighRequest,
} from './limit-requests.ts'
import { observeRequest } from './observe-request.ts'
import { BOARD_PATH, queueBoard } from './queue-board.ts'
import { RateLimitedError, type RateLimits } from './rate-limits.ts'
import { parseBody, readBody } from './read-body.ts'
import { createReadInTurn } from './read-in-turn.ts'
import { logError, toProblem } from './respond-error.ts'
import type { Route, RouteAnswer } from './route.ts'
import type { NoteRefusedAccess } from './services/note-refused-access.ts'
import type { Passes } from './services/passes.ts'
import type { NoteRefusal } from './services/refusal-tally.ts'
import { noteNotFound } from './services/refusals.ts'
import { requireStrictHttp } from './strict-http.ts'
import { createTakeTurns } from './take-turns.ts'
import { isFromThisMachine } from './this-machine.ts'
import { warnOfProxy } from './warn-of-proxy.ts'

export interface HttpParts {
  routes: readonly Route[]
  authenticate: Authenticate
  limits: RateLimits
  passes: Pick<Passes, 'read'>
  lanes: Lanes
  bodyRoom: BodyRoom
  noteRefusedAccess: NoteRefusedAccess
  noteRefusal: NoteRefusal
  /** Whoever reaches this port may call what is for the machine itself. */
  isOperatorPort: boolean
  /** Shown on the operator port; undefined: there is no page of them. */
  queues: readonly Pick<Queue, 'name'>[] | undefined
  trustProxy: string[] | undefined
  corsOrigins: readonly string[]
  logger: Logger
  metrics: Metrics
  tracer: Tracer
}

/** The whole order of a request: headers, id, form, origin, queue, limits, route, access, body, answer; then errors. */
export function createHttpApp(parts: HttpParts): Express {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  // One spelling per path, so that a rule of a proxy for a path holds for all that reaches it.
  app.enable('case sensitive routing')
  app.enable('strict routing')
  app.set('query parser', 'simple')
  app.set('trust proxy', parts.trustProxy ?? false)
  app.use(boundPipelining())
  app.use(helmet(browserRules))
  app.use(identifyRequest)
  app.use(observeRequest(parts))
  app.use(requireStrictHttp())
  if (parts.trustProxy === undefined && !parts.isOperatorPort) app.use(warnOfProxy(parts.logger))
  app.use(allowOrigins(parts.corsOrigins))
  app.use(identifyClaimant(parts.passes, parts.authenticate.judge, createTakeTurns()))
  const readInTurn = createReadInTurn()
  for (const { queue, method, path } of parts.routes) {
    if (queue !== undefined) app[method](path, turnAwayWhenFull(parts, queue, path, readInTurn))
  }
  app.use(turnAwayWhenFull(parts, 'open_work', undefined, readInTurn))
  app.use(limitAddress(parts.limits, new Set(machinePaths(parts.routes))))
  app.use(answerPreflight)
  const { queues } = parts
  if (parts.isOperatorPort && queues !== undefined) app.use(BOARD_PATH, queueBoard({ ...parts, queues }))
  for (const route of parts.routes) app[route.method](route.path, answerRoute(route, parts))
  refuseOtherMethods(app, parts.routes)
  app.use(() => {
    throw new ServiceError('not_found', 'There is nothing here.')
  })
  app.use(answerError(parts.logger))
  return app
}

/** Beside what helmet forbids by itself: no page frames an answer, and none moves where its links lead. */
const browserRules = {
  contentSecurityPolicy: { directives: { baseUri: ["'none'"], frameAncestors: ["'none'"] } },
  xFrameOptions: { action: 'deny' },
} as const satisfies HelmetOptions

function identifyRequest(req: Request, res: Response, next: NextFunction): void {
  const given = req.get('x-request-id')
  const requestId = given !== undefined && isUuid(given) ? given : newId()
  res.locals.requestId = requestId
  res.set('x-request-id', requestId)
  next()
}

function machinePaths(routes: readonly Route[]): string[] {
  return routes.filter(({ access }) => access === 'machine').map(({ path }) => path)
}

function answerRoute(route: Route, parts: HttpParts) {
  return async (req: Request, res: Response): Promise<void> => {
    res.locals.route = route.path
    const caller =
      route.access === 'anyone' || route.access === 'machine'
        ? anonymous
        : await authenticateWithinLimits(parts, req.get('authorization'), req, res, route.looksUpSession)
    res.locals.caller = caller
    const requestId = String(res.locals.requestId)
    try {
      requireAccess(route.access, caller, parts.isOperatorPort || isFromThisMachine(req))
      await limitOrganization(parts.limits, caller, res)
      const bytes = route.body === undefined ? undefined : await readBody(req, route.maxBodyBytes, growth(parts, res))
      const request = {
        params: joinParams(req.params),
        query: singleValues(req.query),
        caller,
        requestId,
        network: clientNetwork(req),
        claimant: claimantOf(res),
        lastEventId: req.get('last-event-id'),
        weigh: (weight: number) => weighRequest(parts.limits, caller, weight, res),
      }
      const work = async () => route.answer({ ...request, body: bytes === undefined ? undefined : parseBody(bytes) })
      await send(res, await (route.queue === 'open_work' ? runOpenWork(parts, res, work) : work()))
    } catch (error) {
      if (caller.type !== 'anonymous' && error instanceof ServiceError) {
        if (error.code === 'forbidden') await parts.noteRefusedAccess(caller, route, requestId)
        if (error.code === 'not_found') noteNotFound(parts.noteRefusal, caller, route, joinParams(req.params))
      }
      throw error
    }
  }
}

function growth({ bodyRoom }: HttpParts, res: Response): GrowBody | undefined {
  return isKnown(res) ? undefined : bodyRoom.enter(res)
}

/** The rest of a path comes in its segments. */
function joinParams(params: Record<string, string | string[]>): Record<string, string> {
  const entries = Object.entries(params)
  return Object.fromEntries(entries.map(([name, value]) => [name, typeof value === 'string' ? value : value.join('/')]))
}

const anonymous: Caller = { type: 'anonymous' }

function singleValues(query: Request['query']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(query).map(([name, value]) => {
      if (typeof value !== 'string') throw new ServiceError('malformed', `${name}: stands twice.`, { field: name })
      return [name, value]
    }),
  )
}

async function send(
  res: Response,
  { status, body, headers = {}, cutOff, rateLimits = [] }: RouteAnswer,
): Promise<void> {
  for (const state of rateLimits) noteRateLimit(res, state)
  res.status(status).set({ 'cache-control': 'no-store', ...headers })
  if (body === undefined) res.end()
  else if (typeof body === 'string' || body instanceof Uint8Array) res.end(body)
  else if (isStream(body) && res.req.method === 'HEAD') await endUnread(res, body)
  else if (isStream(body)) await sendStream(res, body, cutOff)
  else res.type('application/json').end(JSON.stringify(body))
}

function isStream(body: unknown): body is AsyncIterable<string> {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body
}

/** Nobody reads the body of a HEAD: it is not made. */
async function endUnread(res: Response, chunks: AsyncIterable<string>): Promise<void> {
  await chunks[Symbol.asyncIterator]().return?.()
  res.end()
}

/** As fast as it is read. Whoever goes away ends the reading; what fails halfway ends the connection, so that it shows. */
async function sendStream(
  res: Response,
  chunks: AsyncIterable<string>,
  cutOff: AbortSignal | undefined,
): Promise<void> {
  const readable = Readable.from(chunks, { objectMode: true })
  const destroy = () => void res.destroy()
  cutOff?.addEventListener('abort', destroy)
  try {
    await pipeline(readable, res)
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    if (!clientGone.includes(code)) throw error
  } finally {
    // Where the client was gone before, nothing was piped, and nobody else ends what was begun.
    readable.destroy()
    cutOff?.removeEventListener('abort', destroy)
  }
}

/** While it was sent to, and before that. */
const clientGone = ['ERR_STREAM_PREMATURE_CLOSE', 'ERR_STREAM_UNABLE_TO_PIPE']

function refuseOtherMethods(app: Express, routes: readonly Route[]): void {
  for (const path of new Set(routes.map((route) => route.path))) {
    const allowed = routes.filter((route) => route.path === path).map((route) => route.method.toUpperCase())
    app.all(path, (_req, res) => {
      res.set('allow', allowed.join(', '))
      throw new ServiceError('method_not_allowed', `This path takes ${allowed.join(', ')}.`)
    })
  }
}

function answerError(logger: Logger) {
  // Express knows an error handler by its four parameters.
  return (error: unknown, _req: Request, res: Response, _next: NextFunction): void => {
    const requestId = String(res.locals.requestId)
    const cause = isBadUrl(error) ? new ServiceError('malformed', 'The URL is not well formed.') : error
    logError(logger, cause, { requestId, route: String(res.locals.route ?? 'none') })
    if (res.headersSent) {
      res.destroy()
      return
    }
    const { problem, retryAfterSeconds } = toProblem(cause, requestId)
    if (retryAfterSeconds !== undefined) res.set('retry-after', String(retryAfterSeconds))
    if (cause instanceof RateLimitedError) noteRateLimit(res, cause.state)
    if (problem.status === 401) res.set('www-authenticate', String(res.locals.challenge ?? 'Bearer'))
    res
      .status(problem.status)
      .set('cache-control', 'no-store')
      .type('application/problem+json')
      .end(JSON.stringify(problem))
  }
}

/** Express decodes path parameters itself and throws a URIError with a status for bad percent encodings. */
function isBadUrl(error: unknown): boolean {
  return error instanceof URIError
}
