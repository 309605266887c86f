import type { z } from 'zod'
import { isAnswerLost, QflareError } from './errors.ts'
import { parseAnswer, readJson, readProblem } from './http-answer.ts'
import { parseServerUrl } from './server-url.ts'

const TIMEOUT_MS = 15_000
const MAX_ANSWER_BYTES = 1 << 20
const MAX_TRIES = 3
const FIRST_WAIT_MS = 250
/** A server that asks for more than this is not waited for: the caller hears how long in `retryAfterSeconds`. */
const LONGEST_WAIT_SECONDS = 10

export interface HttpOptions {
  url: string
  allowInsecureHttp?: boolean | undefined
  /** Of one try, answer included. */
  timeoutMs?: number | undefined
  wait?: ((ms: number) => Promise<void>) | undefined
}

export interface RequestOptions {
  /** An API token or an access token. */
  bearer?: string | undefined
  /** Asks caches on the way to fetch anew. */
  pastCaches?: boolean
  /** The server answers the same request twice alike, so that a lost answer may be asked for again. A GET always is. */
  repeatable?: boolean
  maxAnswerBytes?: number
  /** A status that carries an ordinary answer although it is not 2xx. */
  acceptStatus?: number
}

export interface HttpClient {
  readonly url: string
  get<S extends z.ZodType>(path: string, schema: S, options?: RequestOptions): Promise<z.output<S>>
  post<S extends z.ZodType>(path: string, body: unknown, schema: S, options?: RequestOptions): Promise<z.output<S>>
  delete(path: string, options?: RequestOptions): Promise<void>
}

/**
 * JSON over fetch, parsed by a schema or refused. Tries a request again in two cases only, at most three times in all: it is
 * repeatable and its answer was lost, or the server said 503 with a short Retry-After. Throws `QflareError`; `insecure_url`.
 */
export function createHttpClient(options: HttpOptions): HttpClient {
  const url = parseServerUrl(options.url, { allowInsecureHttp: options.allowInsecureHttp === true })
  const { timeoutMs = TIMEOUT_MS, wait = sleep } = options
  const request = <S extends z.ZodType>(call: Call, schema: S | undefined) =>
    withRetries(call, wait, () => send(url, call, schema, timeoutMs))
  return {
    url,
    get: (path, schema, rest) => request({ repeatable: true, ...rest, method: 'GET', path }, schema),
    post: (path, body, schema, rest) => request({ ...rest, method: 'POST', path, body }, schema),
    delete: (path, rest) => request({ ...rest, method: 'DELETE', path }, undefined) as Promise<void>,
  }
}

interface Call extends RequestOptions {
  method: 'GET' | 'POST' | 'DELETE'
  path: string
  body?: unknown
}

async function withRetries<T>(call: Call, wait: (ms: number) => Promise<void>, attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt()
    } catch (error) {
      const waitMs = waitBeforeRetry(error, call.repeatable === true, tries)
      if (waitMs === undefined || tries === MAX_TRIES) throw error
      await wait(waitMs)
    }
  }
}

/** Undefined: not to be tried again. Up to a tenth is added, so that a fleet that was turned away does not come back as one. */
function waitBeforeRetry(error: unknown, repeatable: boolean, tries: number): number | undefined {
  if (!(error instanceof QflareError)) return undefined
  const spread = 1 + Math.random() / 10
  if (error.status === 503 && error.retryAfterSeconds !== undefined) {
    return error.retryAfterSeconds <= LONGEST_WAIT_SECONDS ? error.retryAfterSeconds * 1000 * spread : undefined
  }
  return repeatable && isAnswerLost(error) ? FIRST_WAIT_MS * 2 ** (tries - 1) * spread : undefined
}

async function send<S extends z.ZodType>(url: string, call: Call, schema: S | undefined, timeoutMs: number) {
  const maxBytes = call.maxAnswerBytes ?? MAX_ANSWER_BYTES
  try {
    const response = await fetch(url + call.path, {
      method: call.method,
      headers: headersOf(call),
      body: call.body === undefined ? null : JSON.stringify(call.body),
      // A redirect would carry tokens to another place.
      redirect: 'error',
      cache: call.pastCaches === true ? 'no-store' : 'default',
      signal: AbortSignal.timeout(timeoutMs),
    })
    if (!response.ok && response.status !== call.acceptStatus) throw await readProblem(response, maxBytes)
    if (schema !== undefined) return parseAnswer(response, await readJson(response, maxBytes), schema)
    await response.body?.cancel()
    return undefined as z.output<S>
  } catch (error) {
    throw error instanceof QflareError ? error : toLostAnswer(error, url, timeoutMs)
  }
}

function headersOf(call: Call): Record<string, string> {
  return {
    Accept: 'application/json, application/problem+json',
    ...(call.body === undefined ? {} : { 'Content-Type': 'application/json' }),
    ...(call.bearer === undefined ? {} : { Authorization: `Bearer ${call.bearer}` }),
    ...(call.pastCaches === true ? { 'Cache-Control': 'no-cache' } : {}),
  }
}

function toLostAnswer(error: unknown, url: string, timeoutMs: number): QflareError {
  if (error instanceof Error && error.name === 'TimeoutError') {
    return new QflareError('timeout', `${url} did not answer within ${timeoutMs / 1000} s.`, { cause: error })
  }
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const reason = cause instanceof Error ? cause.message || ('code' in cause ? String(cause.code) : '') : ''
  return new QflareError('network', `Cannot reach ${url}${reason === '' ? '' : ` (${reason})`}.`, { cause: error })
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
