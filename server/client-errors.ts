import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { newId } from '../runtime/ids.ts'
import { ServiceError } from './errors.ts'
import { toProblem } from './respond-error.ts'

/** For the client to read the answer, and no longer. */
const LINGER_MS = 1_000

interface Exchange {
  req: IncomingMessage
  res: ServerResponse
}

/**
 * Answers what the parser refuses, who is too slow, and who takes us for a proxy (CONNECT), as problems like every other
 * refusal; then closes the connection.
 */
export function answerClientErrors(server: Server): void {
  const latest = new WeakMap<Duplex, Exchange>()
  const note = (req: IncomingMessage, res: ServerResponse): void => void latest.set(req.socket, { req, res })
  server.prependListener('request', note)
  server.prependListener('checkExpectation', note)
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    const refusal = toRefusal(error.code ?? '')
    if (refusal === undefined || !socket.writable || !isAnswerable(latest.get(socket), socket)) socket.destroy(error)
    else answerLast(socket, refusal)
  })
  server.on('connect', (_req: IncomingMessage, socket: Duplex) => {
    // Nobody else listens any more: Node hands the connection over.
    socket.on('error', () => socket.destroy())
    if (isAnswerable(latest.get(socket), socket)) answerLast(socket, notProxy())
    else socket.destroy()
  })
}

function notProxy(): ServiceError {
  return new ServiceError('malformed', 'CONNECT is for proxies, and this is none.')
}

function answerLast(socket: Duplex, refusal: ServiceError): void {
  socket.end(problemText(refusal))
  setTimeout(() => socket.destroy(), LINGER_MS).unref()
}

/** Whether an answer that is written now is taken for that of the request at fault, and not for another's or a part of it. */
function isAnswerable(exchange: Exchange | undefined, socket: Duplex): boolean {
  if (exchange === undefined) return true
  const { req, res } = exchange
  // Before the end of a request, what is at fault is that request: it has had its answer.
  if (res.writableFinished) return req.complete
  // A response has the socket when its turn has come; a request that is complete is not the one that is at fault.
  return res.socket === socket && !res.headersSent && !req.complete
}

/** Undefined for what is no request at all: a connection that was lost, a TLS handshake that failed. */
function toRefusal(code: string): ServiceError | undefined {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new ServiceError('request_timeout', 'The request did not arrive in time.')
    case 'HPE_HEADER_OVERFLOW':
      return new ServiceError('headers_too_large', 'The path and the headers have at most 8192 bytes.')
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new ServiceError('payload_too_large', 'The chunk extensions of the body are too large.')
    default:
      // The parser's own codes.
      return code.startsWith('HPE_') ? new ServiceError('malformed', 'This is not HTTP/1.1.') : undefined
  }
}

function problemText(refusal: ServiceError): string {
  const requestId = newId()
  const { problem } = toProblem(refusal, requestId)
  const body = JSON.stringify(problem)
  const lines = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'Connection: close',
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    "Content-Security-Policy: default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    'Strict-Transport-Security: max-age=31536000; includeSubDomains',
    'X-Content-Type-Options: nosniff',
    `X-Request-Id: ${requestId}`,
  ]
  return `${lines.join('\r\n')}\r\n\r\n${body}`
}
