import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Database } from '../database/open.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { WriteEvent } from '../runtime/audit-events.ts'
import { createBoundedQueue } from '../runtime/bounded-queue.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Config } from '../runtime/config.ts'
import type { ServiceKeys } from '../runtime/custody/service-keys.ts'
import type { Wrapper } from '../runtime/custody/wrapper.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import type { TemporalKeyStore } from '../runtime/temporal/temporal-key-store.ts'
import { createAuthenticate } from './authenticate.ts'
import { createHttpApp } from './http.ts'
import { listRoutes } from './routes.ts'
import { createAccessTokens } from './services/access-tokens.ts'
import { createPublishedKeys } from './services/published-keys.ts'
import { createReadiness } from './services/readiness.ts'
import { createTemporalKeys } from './services/temporal-keys.ts'

export interface ServerParts {
  config: Pick<Config, 'http' | 'trustDomain' | 'exchangeQueueLength'>
  version: string
  database: Database
  store: TemporalKeyStore
  serviceKeys: ServiceKeys
  wrapper: Wrapper
  crypto: Primitives
  clock: Clock
  isScheduleHealthy: () => boolean
  writeEvent: WriteEvent
  logger: Logger
  metrics: Metrics
}

export interface RunningServer {
  url: string
  /** Takes no more connections, and resolves when every request under way has been answered, or after the bound. */
  close(): Promise<void>
}

/** Exchanges between their look-up and their commit at once; more wait in the queue, before their cryptography. */
const EXCHANGE_CONCURRENCY = 16
const DRAIN_MS = 10_000
const SILENCE_MS = 70_000
const MAX_CONNECTIONS = 10_000

/** Everything of the API process; the only place of it that opens a socket. Throws when the port cannot be had. */
export async function composeServer(parts: ServerParts): Promise<RunningServer> {
  const { config, database, crypto, clock, metrics } = parts
  const { keyring } = parts.serviceKeys
  const temporalKeys = createTemporalKeys({ database, store: parts.store, keyring, crypto, clock })
  const accessTokens = createAccessTokens({ database, temporalKeys, crypto, clock })
  const publishedKeys = createPublishedKeys({
    database,
    temporalKeys,
    crypto,
    clock,
    rootKid: parts.serviceKeys.rootKid,
  })
  const queue = createBoundedQueue(EXCHANGE_CONCURRENCY, config.exchangeQueueLength)
  let isDraining = false
  const readiness = createReadiness({
    database,
    temporalKeys,
    clock,
    wrapper: parts.wrapper,
    isDraining: () => isDraining,
    isScheduleHealthy: parts.isScheduleHealthy,
  })
  observe(metrics, { database, clock, waiting: queue.waiting })
  const pin = parts.serviceKeys.rootKid
  const routes = listRoutes({
    trustDomain: config.trustDomain,
    version: parts.version,
    pin,
    database,
    keyring,
    attestationSigner: parts.serviceKeys.attestationSigner,
    temporalKeys,
    accessTokens,
    publishedKeys,
    queue,
    readiness,
    crypto,
    clock,
    writeEvent: parts.writeEvent,
    metrics,
  })
  const authenticate = createAuthenticate({ database, accessTokens, crypto, clock })
  const app = createHttpApp({ routes, authenticate, trustProxy: config.http.trustProxy, logger: parts.logger, metrics })
  const server = createServer(
    {
      requestTimeout: 15_000,
      headersTimeout: 10_000,
      keepAliveTimeout: 60_000,
      maxHeaderSize: 8_192,
      connectionsCheckingInterval: 2_000,
    },
    app,
  )
  // A connection on which nothing moves, in either direction, is given up; so are more than anybody needs.
  server.setTimeout(SILENCE_MS)
  server.maxConnections = MAX_CONNECTIONS
  await listen(server, config.http)
  const { port } = server.address() as AddressInfo
  const host = config.http.host.includes(':') ? `[${config.http.host}]` : config.http.host

  return {
    url: `http://${host}:${port}`,
    async close() {
      isDraining = true
      await drain(server)
      temporalKeys.close()
    },
  }
}

function observe(metrics: Metrics, parts: { database: Database; clock: Clock; waiting: () => number }): void {
  Object.assign(metrics.exchangeQueueDepth, { collect: () => metrics.exchangeQueueDepth.set(parts.waiting()) })
  Object.assign(metrics.clockOffsetSeconds, {
    collect: () => metrics.clockOffsetSeconds.set(parts.clock.offsetMs() / 1000),
  })
  Object.assign(metrics.databaseConnections, {
    collect() {
      for (const [state, count] of Object.entries(parts.database.connections())) {
        metrics.databaseConnections.set({ state }, count)
      }
    },
  })
}

async function listen(server: Server, { host, port }: Config['http']): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
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
