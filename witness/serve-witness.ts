import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Logger } from '../runtime/logger.ts'
import type { Witness } from './create-witness.ts'
import { WitnessError } from './witness-error.ts'

export interface WitnessServer {
  /** With the port that it got, without a slash at its end. */
  url: string
  /** Takes no more requests, and resolves when those under way are done. */
  close(): Promise<void>
}

/** A note of 256 KiB, 63 lines of a proof, and the old size. */
const MAX_BODY_BYTES = (256 << 10) + (4 << 10)
const PATH = '/add-checkpoint'
const DRAIN_MS = 10_000
const bounds = {
  requestTimeout: 15_000,
  headersTimeout: 10_000,
  keepAliveTimeout: 60_000,
  maxHeaderSize: 8_192,
  connectionsCheckingInterval: 2_000,
}
const MAX_CONNECTIONS = 1_000
const SILENCE_MS = 70_000

/** `about` is the answer to `GET /`. Throws `configuration_invalid` where it cannot listen. */
export async function serveWitness(
  witness: Witness,
  { host, port, about, logger }: { host: string; port: number; about: string; logger: Logger },
): Promise<WitnessServer> {
  const underWay = new Set<Promise<void>>()
  async function respond(req: IncomingMessage, res: ServerResponse): Promise<void> {
    try {
      await route(witness, about, req, res)
    } catch (error) {
      logger.error('a request failed', {}, error)
      say(res, 500, 'The witness failed; its log says why.')
    }
  }
  const server = createServer(bounds, (req, res) => {
    const done: Promise<void> = respond(req, res).finally(() => underWay.delete(done))
    underWay.add(done)
  })
  server.maxConnections = MAX_CONNECTIONS
  server.setTimeout(SILENCE_MS)
  await listen(server, host, port)
  const { port: actualPort } = server.address() as AddressInfo
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${actualPort}`,
    async close() {
      await drain(server)
      // A connection that was cut leaves work behind: the lock of the folder has to outlive it.
      await Promise.allSettled(underWay)
    },
  }
}

async function route(witness: Witness, about: string, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const { method, url } = req
  const allowed = url === PATH ? ['POST'] : url === '/' ? ['GET', 'HEAD'] : undefined
  if (allowed === undefined) return say(res, 404, 'There is nothing here.')
  if (!allowed.includes(method ?? '')) {
    return say(res.setHeader('allow', allowed.join(', ')), 405, `This path takes ${allowed.join(' and ')}.`)
  }
  if (url === '/') return say(res, 200, about)
  if (req.headers['content-encoding'] !== undefined) return say(res, 415, 'A body is taken without Content-Encoding.')
  const text = await readText(req)
  if (text === 'too_large') return say(res, 413, `A body here has at most ${MAX_BODY_BYTES} bytes.`)
  if (text === 'unreadable') return say(res, 400, 'The body is not UTF-8, or ended too early.')
  const { status, contentType, body } = await witness.addCheckpoint(text.content)
  send(res, status, contentType, body)
}

async function readText(req: IncomingMessage): Promise<{ content: string } | 'too_large' | 'unreadable'> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    // Leaving the loop early must not close the socket: the refusal still has to reach the client.
    for await (const chunk of req.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > MAX_BODY_BYTES) return 'too_large'
      chunks.push(chunk)
    }
    return { content: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks)) }
  } catch {
    return 'unreadable'
  }
}

function say(res: ServerResponse, status: number, line: string): void {
  // What is left of a body that was not read would be taken for the next request.
  if (status >= 400) res.setHeader('connection', 'close')
  send(res, status, 'text/plain; charset=utf-8', `${line}\n`)
}

function send(res: ServerResponse, status: number, contentType: string, body: string): void {
  res.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  })
  res.end(body)
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  }).catch((error: NodeJS.ErrnoException) => {
    const message =
      error.code === 'EADDRINUSE'
        ? `Port ${port} is taken by another program: choose another --port.`
        : `${error.message}: choose another --host or --port.`
    throw new WitnessError('configuration_invalid', message, { cause: error })
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
