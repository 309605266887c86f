import { createServer, type RequestListener, type Server, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { SecureContextOptions } from 'node:tls'
import { answerClientErrors } from './client-errors.ts'
import { type ConnectionLimits, limitConnections } from './limit-connections.ts'

/** A part that listens on a port. */
export interface Listener {
  /** With the port that it got. */
  url: string
  /** For the handshakes from now on; connections that are there go on as they are. Throws what OpenSSL refuses. */
  setTls(context: SecureContextOptions): void
  /** From now on each answer ends its connection: whoever keeps connections open opens the next one, somewhere else. */
  endConnections(): void
  /** Takes no more connections, and resolves when every request under way has been answered, or after the bound. */
  close(): Promise<void>
}

export interface ListenerAddress {
  host: string
  port: number
  /** Which variable says the port, and which the host: for who has to change them. */
  variables: { host: string; port: string }
}

/** An address that cannot be had; the message says which variable to change. */
export class ListenError extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause })
    this.name = 'ListenError'
  }
}

const DRAIN_MS = 10_000
const SILENCE_MS = 70_000
const MAX_CONNECTIONS = 10_000

const bounds = {
  requestTimeout: 15_000,
  headersTimeout: 10_000,
  handshakeTimeout: 10_000,
  keepAliveTimeout: 60_000,
  maxHeaderSize: 8_192,
  connectionsCheckingInterval: 2_000,
  // The application refuses a request without Host itself, so that this refusal is a problem like the others.
  requireHostHeader: false,
}

/** Serves `app` over HTTP, or over TLS where a context is given. Throws ListenError. */
export async function startListener(
  app: RequestListener,
  address: ListenerAddress,
  tls: SecureContextOptions | undefined,
  connections: Omit<ConnectionLimits, 'total'>,
): Promise<Listener> {
  const tlsServer = tls === undefined ? undefined : createTlsServer({ ...bounds, ...tls, ...clientRules(tls) }, app)
  const server: Server = tlsServer ?? createServer(bounds, app)
  answerClientErrors(server)
  // RFC 9110 §10.1.1 lets us ignore an expectation that we do not know; Node would answer it in plain text.
  server.on('checkExpectation', app)
  limitConnections(server, { ...connections, total: MAX_CONNECTIONS })
  let isLastAnswer = false
  server.prependListener('request', (_req, res: ServerResponse) => {
    if (isLastAnswer) res.shouldKeepAlive = false
  })
  // A connection on which nothing moves, in either direction, is given up.
  server.setTimeout(SILENCE_MS)
  await listen(server, address)
  const { port } = server.address() as AddressInfo
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  return {
    url: `${tls === undefined ? 'http' : 'https'}://${host}:${port}`,
    setTls: (context) => tlsServer?.setSecureContext(context),
    endConnections() {
      isLastAnswer = true
    },
    close: () => drain(server),
  }
}

/** Without authorities of clients nobody is asked for a certificate; with some, nobody gets in without one. */
function clientRules({ ca }: SecureContextOptions) {
  return { requestCert: ca !== undefined, rejectUnauthorized: ca !== undefined }
}

async function listen(server: Server, { host, port, variables }: ListenerAddress): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  }).catch((error: NodeJS.ErrnoException) => {
    const message =
      error.code === 'EADDRINUSE'
        ? `port ${port} is taken by another program. Stop that one, or set ${variables.port}.`
        : `${error.message}. Set another ${variables.host} or ${variables.port}.`
    throw new ListenError(message, error)
  })
}

async function drain(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  // A connection becomes idle when its last request has been answered; who keeps it alive would keep us waiting.
  const closeIdle = setInterval(() => server.closeIdleConnections(), 50)
  const bound = setTimeout(() => server.closeAllConnections(), DRAIN_MS)
  await closed
  clearInterval(closeIdle)
  clearTimeout(bound)
}
