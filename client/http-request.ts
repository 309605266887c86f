import { QflareError } from './errors.ts'
import { readProblem } from './http-answer.ts'
import { explainTlsFailure } from './tls-failure.ts'

export interface RequestOptions {
  /** An API token or an access token. */
  bearer?: string | undefined
  /** What the service gave to be shown with requests: it serves who has one before others. */
  pass?: string | undefined
  /** Takes the pass that an answer brings. */
  onPass?: (pass: string) => void
  /** Asks caches on the way to fetch anew. */
  pastCaches?: boolean
  /** The server answers the same request twice alike, so that a lost answer may be asked for again. A GET always is. */
  repeatable?: boolean
  maxAnswerBytes?: number
  /** A status that carries an ordinary answer although it is not 2xx. */
  acceptStatus?: number
  /** Of one try, in place of the client's: of a stream, of each wait for the next piece. Milliseconds. */
  timeoutMs?: number
  /** Ends the request and the pauses between its tries; it then rejects with the signal's reason. */
  signal?: AbortSignal | undefined
}

export interface Call extends RequestOptions {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  path: string
  body?: unknown
  /** The media type of the answer; JSON where it is not given. */
  accept?: string
}

const PASS_HEADER = 'QFLARE-Pass'

/** Sends a request; what comes back is an answer, its body unread. Throws the problem that the server states instead. */
export async function openAnswer(url: string, call: Call, signal: AbortSignal, maxBytes: number): Promise<Response> {
  const response = await fetch(url + call.path, {
    method: call.method,
    headers: headersOf(call),
    body: call.body === undefined ? null : JSON.stringify(call.body),
    // A redirect would carry tokens to another place.
    redirect: 'error',
    cache: call.pastCaches === true ? 'no-store' : 'default',
    // Tokens travel in headers; a page's cookies have no business here.
    credentials: 'omit',
    signal,
  })
  if (!response.ok && response.status !== call.acceptStatus) throw await readProblem(response, maxBytes)
  const pass = response.headers.get(PASS_HEADER)
  if (pass !== null && isPass(pass)) call.onPass?.(pass)
  return response
}

/** Text that goes back as it came, and is kept: of the alphabet and a length that a pass can have, whatever a server says. */
function isPass(text: string): boolean {
  return /^[\w-]{1,256}$/.test(text)
}

export interface Deadline {
  signal: AbortSignal
  /** Begins the time anew. */
  restart(): void
  /** The time stands still until it begins anew. */
  pause(): void
  end(): void
}

/** Not `AbortSignal.any`: some releases of Node 20 keep what it makes for as long as the caller's signal lives. */
export function startDeadline(timeoutMs: number, signal: AbortSignal | undefined): Deadline {
  const controller = new AbortController()
  const onAbort = () => controller.abort(signal?.reason)
  if (signal?.aborted === true) onAbort()
  signal?.addEventListener('abort', onAbort, { once: true })
  const start = () =>
    setTimeout(() => controller.abort(new DOMException('No answer in time.', 'TimeoutError')), timeoutMs)
  let timer = start()
  return {
    signal: controller.signal,
    restart() {
      clearTimeout(timer)
      timer = start()
    },
    pause: () => clearTimeout(timer),
    end() {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    },
  }
}

/** What the caller hears of what `fetch` threw. */
export function toLostAnswer(error: unknown, url: string, timeoutMs: number): QflareError {
  if (error instanceof QflareError) return error
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

function headersOf(call: Call): Record<string, string> {
  return {
    Accept: `${call.accept ?? 'application/json'}, application/problem+json`,
    ...(call.body === undefined ? {} : { 'Content-Type': 'application/json' }),
    ...(call.pass === undefined ? {} : { [PASS_HEADER]: call.pass }),
    ...(call.bearer === undefined ? {} : { Authorization: `Bearer ${call.bearer}` }),
    ...(call.pastCaches === true ? { 'Cache-Control': 'no-cache' } : {}),
  }
}
