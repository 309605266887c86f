import type { z } from 'zod'
import { isAnswerLost, QflareError } from './errors.ts'
import { parseAnswer, readBytes, readJson, requireType } from './http-answer.ts'
import { type Call, openAnswer, type RequestOptions, startDeadline, toLostAnswer } from './http-request.ts'
import { parseServerUrl } from './server-url.ts'
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

export interface HttpClient {
  readonly url: string
  get<S extends z.ZodType>(path: string, schema: S, options?: RequestOptions): Promise<z.output<S>>
  post<S extends z.ZodType>(path: string, body: unknown, schema: S, options?: RequestOptions): Promise<z.output<S>>
  patch<S extends z.ZodType>(path: string, body: unknown, schema: S, options?: RequestOptions): Promise<z.output<S>>
  /** An answer of this media type, which is no JSON. */
  getBytes(path: string, type: string, options?: RequestOptions): Promise<Uint8Array>
  /**
   * The same piece by piece, however long it is: `timeoutMs` is then of each wait for the next piece. It is tried again until it
   * begins. Who stops reading ends the request.
   */
  stream(path: string, type: string, options?: RequestOptions): AsyncGenerator<Uint8Array>
  /** A post that is answered with nothing. */
  tell(path: string, body: unknown, options?: RequestOptions): Promise<void>
  /** Of what a path names, without a body; nothing is answered. It says the same however often it is said. */
  put(path: string, options?: RequestOptions): Promise<void>
  /** A put of what a path names, as a whole. It says the same however often it is said. */
  replace<S extends z.ZodType>(path: string, body: unknown, schema: S, options?: RequestOptions): Promise<z.output<S>>
  delete(path: string, options?: RequestOptions): Promise<void>
  /** The same client, every request of which `signal` ends. */
  withSignal(signal: AbortSignal | undefined): HttpClient
  /** The same client, every request of which shows this pass. */
  withPass(pass: string | undefined): HttpClient
}

/**
 * JSON over fetch, parsed by a schema or refused. Tries a request again, four times in all and with full jitter, when its
 * answer was lost and it is repeatable, or when the server turned it away for a while (429 with a short Retry-After, 503).
 * Throws `QflareError`; `input_invalid` and `insecure_url` for the URL.
 */
export function createHttpClient(options: HttpOptions): HttpClient {
  const url = parseServerUrl(options.url, { allowInsecureHttp: options.allowInsecureHttp === true })
  const { timeoutMs = TIMEOUT_MS, wait = waitForTimer } = options
  const clientOf = (common: Pick<RequestOptions, 'signal' | 'pass'>): HttpClient => {
    const request = <T>(call: Call, read: Read<T>) => {
      const whole = { ...call, signal: call.signal ?? common.signal, pass: call.pass ?? common.pass }
      return withRetries(whole, wait, () => send(url, whole, read, call.timeoutMs ?? timeoutMs))
    }
    const get = { repeatable: true, method: 'GET' } as const
    return {
      url,
      get: (path, schema, rest) => request({ ...get, ...rest, path }, readAs(schema)),
      post: (path, body, schema, rest) => request({ ...rest, method: 'POST', path, body }, readAs(schema)),
      patch: (path, body, schema, rest) => request({ ...rest, method: 'PATCH', path, body }, readAs(schema)),
      tell: (path, body, rest) => request({ ...rest, method: 'POST', path, body }, readNothing),
      put: (path, rest) => request({ repeatable: true, ...rest, method: 'PUT', path }, readNothing),
      replace: (path, body, schema, rest) =>
        request({ repeatable: true, ...rest, method: 'PUT', path, body }, readAs(schema)),
      delete: (path, rest) => request({ ...rest, method: 'DELETE', path }, readNothing),
      getBytes: (path, accept, rest) =>
        request({ ...get, ...rest, path, accept }, (response, maxBytes) => readBytes(response, accept, maxBytes)),
      stream: (path, accept, rest) => {
        const call = { ...get, ...common, ...rest, path, accept, signal: rest?.signal ?? common.signal }
        return stream(url, call, wait, call.timeoutMs ?? timeoutMs)
      },
      withSignal: (signal) => clientOf({ ...common, signal }),
      withPass: (pass) => clientOf({ ...common, pass }),
    }
  }
  return clientOf({})
}

type Read<T> = (response: Response, maxBytes: number) => Promise<T>

function readAs<S extends z.ZodType>(schema: S): Read<z.output<S>> {
  return async (response, maxBytes) => parseAnswer(response, await readJson(response, maxBytes), schema)
}

async function readNothing(response: Response): Promise<void> {
  await response.body?.cancel()
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

async function send<T>(url: string, call: Call, read: Read<T>, timeoutMs: number): Promise<T> {
  const maxBytes = call.maxAnswerBytes ?? MAX_ANSWER_BYTES
  const deadline = startDeadline(timeoutMs, call.signal)
  try {
    return await read(await openAnswer(url, call, deadline.signal, maxBytes), maxBytes)
  } catch (error) {
    call.signal?.throwIfAborted()
    throw toLostAnswer(error, url, timeoutMs)
  } finally {
    deadline.end()
  }
}

async function* stream(url: string, call: Call & { accept: string }, wait: Wait, timeoutMs: number) {
  const { reader, deadline } = await withRetries(call, wait, () => openStream(url, call, timeoutMs))
  try {
    for (;;) {
      deadline.restart()
      const { done, value } = await reader.read()
      if (done) return
      // Who reads may take as long as they like.
      deadline.pause()
      yield value
    }
  } catch (error) {
    call.signal?.throwIfAborted()
    throw toLostAnswer(error, url, timeoutMs)
  } finally {
    deadline.end()
    await reader.cancel().catch(() => undefined)
  }
}

async function openStream(url: string, call: Call & { accept: string }, timeoutMs: number) {
  const deadline = startDeadline(timeoutMs, call.signal)
  try {
    const response = await openAnswer(url, call, deadline.signal, MAX_ANSWER_BYTES)
    await requireType(response, call.accept)
    const body = response.body ?? new Blob().stream()
    return { reader: body.getReader(), deadline }
  } catch (error) {
    deadline.end()
    call.signal?.throwIfAborted()
    throw toLostAnswer(error, url, timeoutMs)
  }
}
