import type { z } from 'zod'
import { isAnswerLost, QflareError } from './errors.ts'
import { parseAnswer, readJson, readProblem } from './http-answer.ts'
import { parseServerUrl } from './server-url.ts'
import { explainTlsFailure } from './tls-failure.ts'
import { backoffMs, spreadRetryAfterMs, type Wait, wait as waitForTimer } from './wait.ts'

const TIMEOUT_MS = 15_000
const MAX_ANSWER_BYTES = 1 << 20
const MAX_TRIES = 4
const BACKOFF = { firstMs: 500, longestMs: 10_000 }
/** A server that asks for more than this is not waited for: the caller hears how long in `retryAfterSeconds`. */
const LONGEST_WAIT_SECONDS = 10

export interface HttpOptions {
  /** `https://…`, or `http://` of this machine. A path at its end is kept. */
  url: string
  /** Plain http to other machines: tokens cross the network in clear. Default: false. */
  allowInsecureHttp?: boolean | undefined
  /** Of one try, answer included, in milliseconds. Default: 15,000. */
  timeoutMs?: number | undefined
  /** How to pause between tries. Default: a timer. */
  wait?: Wait | undefined
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
  /** Ends the request and the pauses between its tries; it then rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

export interface HttpClient {
  readonly url: string
  get<S extends z.ZodType>(path: string, schema: S, options?: RequestOptions): Promise<z.output<S>>
  post<S extends z.ZodType>(path: string, body: unknown, schema: S, options?: RequestOptions): Promise<z.output<S>>
  patch<S extends z.ZodType>(path: string, body: unknown, schema: S, options?: RequestOptions): Promise<z.output<S>>
  delete(path: string, options?: RequestOptions): Promise<void>
  /** The same client, every request of which `signal` ends. */
  withSignal(signal: AbortSignal | undefined): HttpClient
}

/**
 * JSON over fetch, parsed by a schema or refused. Tries a request again, four times in all and with full jitter, when its
 * answer was lost and it is repeatable, or when the server turned it away for a while (429 with a short Retry-After, 503).
 * Throws `QflareError`; `input_invalid` and `insecure_url` for the URL.
 */
export function createHttpClient(options: HttpOptions): HttpClient {
  const url = parseServerUrl(options.url, { allowInsecureHttp: options.allowInsecureHttp === true })
  const { timeoutMs = TIMEOUT_MS, wait = waitForTimer } = options
  const clientOf = (signal: AbortSignal | undefined): HttpClient => {
    const request = <S extends z.ZodType>(call: Call, schema: S | undefined) => {
      const aborted = { ...call, signal: call.signal ?? signal }
      return withRetries(aborted, wait, () => send(url, aborted, schema, timeoutMs))
    }
    return {
      url,
      get: (path, schema, rest) => request({ repeatable: true, ...rest, method: 'GET', path }, schema),
      post: (path, body, schema, rest) => request({ ...rest, method: 'POST', path, body }, schema),
      patch: (path, body, schema, rest) => request({ ...rest, method: 'PATCH', path, body }, schema),
      delete: (path, rest) => request({ ...rest, method: 'DELETE', path }, undefined) as Promise<void>,
      withSignal: clientOf,
    }
  }
  return clientOf(undefined)
}

interface Call extends RequestOptions {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  path: string
  body?: unknown
}

async function withRetries<T>(call: Call, wait: Wait, attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt()
    } catch (error) {
      const waitMs = waitBeforeRetry(error, call.repeatable === true, tries)
      if (waitMs === undefined || tries === MAX_TRIES) throw error
      await wait(waitMs, call.signal)
    }
  }
}

/** Undefined: not to be tried again. */
function waitBeforeRetry(error: unknown, repeatable: boolean, tries: number): number | undefined {
  if (!(error instanceof QflareError)) return undefined
  const { status, retryAfterSeconds } = error
  const isTurnedAway =
    error.code !== 'bad_answer' && (status === 503 || (status === 429 && retryAfterSeconds !== undefined))
  if (!isTurnedAway && !(repeatable && isAnswerLost(error))) return undefined
  if (retryAfterSeconds === undefined) return backoffMs(tries, BACKOFF)
  return retryAfterSeconds <= LONGEST_WAIT_SECONDS ? spreadRetryAfterMs(retryAfterSeconds) : undefined
}

async function send<S extends z.ZodType>(url: string, call: Call, schema: S | undefined, timeoutMs: number) {
  const maxBytes = call.maxAnswerBytes ?? MAX_ANSWER_BYTES
  const deadline = startDeadline(timeoutMs, call.signal)
  try {
    const response = await fetch(url + call.path, {
      method: call.method,
      headers: headersOf(call),
      body: call.body === undefined ? null : JSON.stringify(call.body),
      // A redirect would carry tokens to another place.
      redirect: 'error',
      cache: call.pastCaches === true ? 'no-store' : 'default',
      // Tokens travel in headers; a page's cookies have no business here.
      credentials: 'omit',
      signal: deadline.signal,
    })
    if (!response.ok && response.status !== call.acceptStatus) throw await readProblem(response, maxBytes)
    if (schema !== undefined) return parseAnswer(response, await readJson(response, maxBytes), schema)
    await response.body?.cancel()
    return undefined as z.output<S>
  } catch (error) {
    call.signal?.throwIfAborted()
    throw error instanceof QflareError ? error : toLostAnswer(error, url, timeoutMs)
  } finally {
    deadline.end()
  }
}

/** Not `AbortSignal.any`: some releases of Node 20 keep what it makes for as long as the caller's signal lives. */
function startDeadline(timeoutMs: number, signal: AbortSignal | undefined): { signal: AbortSignal; end: () => void } {
  const controller = new AbortController()
  const onAbort = () => controller.abort(signal?.reason)
  if (signal?.aborted === true) onAbort()
  signal?.addEventListener('abort', onAbort, { once: true })
  const timer = setTimeout(() => controller.abort(new DOMException('No answer in time.', 'TimeoutError')), timeoutMs)
  return {
    signal: controller.signal,
    end() {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    },
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
  const tlsFailure = explainTlsFailure(cause, url)
  if (tlsFailure !== undefined) return new QflareError('tls_failed', tlsFailure, { cause: error })
  const reason = cause instanceof Error ? cause.message || ('code' in cause ? String(cause.code) : '') : ''
  // OpenSSL's end with a line break.
  const shown = reason === '' ? '' : ` (${reason.replace(/\s+/g, ' ').trim()})`
  return new QflareError('network', `Cannot reach ${url}${shown}.`, { cause: error })
}
