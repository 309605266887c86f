import { setTimeout as sleep } from 'node:timers/promises'
import type { Queue } from 'bullmq'
import type { Database } from '../database/open.ts'
import { findApiToken } from '../database/repositories/api-tokens.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { WriteEvent } from '../runtime/audit-events.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Config } from '../runtime/config.ts'
import type { ServiceKeys } from '../runtime/custody/service-keys.ts'
import type { Wrapper } from '../runtime/custody/wrapper.ts'
import type { JobQueues } from '../runtime/job-queues.ts'
import { createLaneQueue } from '../runtime/lane-queue.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import type { TemporalKeyStore } from '../runtime/temporal/temporal-key-store.ts'
import type { Tracer } from '../runtime/tracing/tracer.ts'
import { createAuthenticate } from './authenticate.ts'
import { createBodyRoom } from './body-room.ts'
import { observeDevices } from './observe-devices.ts'
import { observeReadiness } from './observe-readiness.ts'
import { createRateLimits } from './rate-limits.ts'
import { listRoutes } from './routes.ts'
import { createAccessTokens } from './services/access-tokens.ts'
import { createNoteRefusedAccess } from './services/note-refused-access.ts'
import { createPasses } from './services/passes.ts'
import { createPublishedKeys } from './services/published-keys.ts'
import { createReadiness, type Readiness } from './services/readiness.ts'
import { createRefusals } from './services/refusals.ts'
import { createRevocationFeed } from './services/revocation-feed.ts'
import type { ListenerTiming } from './services/revocation-listener.ts'
import { createTemporalKeys } from './services/temporal-keys.ts'
import { createVerifyStoredKeys } from './services/verify-stored-keys.ts'
import { openSharedState } from './shared-state.ts'
import { startListeners } from './start-listeners.ts'

export interface ServerParts {
  config: Pick<
    Config,
    | 'http'
    | 'operator'
    | 'drainSeconds'
    | 'limits'
    | 'securityContact'
    | 'redisUrl'
    | 'trustDomain'
    | 'exchangeQueueLength'
    | 'federationPolicy'
    | 'apiTokenMaxDays'
  >
  version: string
  database: Database
  /** As qflare_auditor. */
  auditor: Database
  store: TemporalKeyStore
  serviceKeys: ServiceKeys
  wrapper: Wrapper
  crypto: Primitives
  clock: Clock
  isScheduleHealthy: () => boolean
  jobQueues: JobQueues
  /** BullMQ's, for their page on the operator port. */
  queues: readonly Pick<Queue, 'name'>[]
  writeEvent: WriteEvent
  logger: Logger
  metrics: Metrics
  tracer: Tracer
  /** How long somebody may take for a piece of an export; five minutes without it. */
  slowExportMs?: number | undefined
  /** How often it is looked whether a minute of refusals is over; each second without it. */
  lookForRefusalsEveryMs?: number
  /** Of whoever hears of revocations. */
  listenerTiming?: ListenerTiming
  /** Places in each lane of open work; 512 without it. */
  openWorkWaiting?: number
  /** For the large bodies of strangers; as createBodyRoom without it. */
  bodyRoomBytes?: number | undefined
  /** Instead of `drainSeconds`: resolves when no balancer sends anybody here any more. */
  untilUnasked?: () => Promise<void>
}

export interface RunningServer {
  url: string
  /** Of health and metrics, where they have a port of their own. */
  operatorUrl: string | undefined
  /**
   * Is not ready from now on, and serves for `drainSeconds` more; then takes no more connections, and resolves when every request
   * under way has been answered, or after the bound.
   */
  close(): Promise<void>
}

/** Exchanges and confirmations between their look-up and their commit at once; more wait in the queue, before the look-up. */
const EXCHANGE_CONCURRENCY = 16

/** Open work at once: as much as leaves the rest of a process its turn, and of its connections to the database. */
const OPEN_WORK_CONCURRENCY = 8
const OPEN_WORK_WAITING = 512

/** Everything of the API process; the only place of it that opens a socket. Throws ListenError, and ConfigError for TLS files. */
export async function composeServer(parts: ServerParts): Promise<RunningServer> {
  await using stack = new AsyncDisposableStack()
  const { config, database, crypto, clock, metrics } = parts
  const { keyring } = parts.serviceKeys
  const temporalKeys = createTemporalKeys({ database, store: parts.store, keyring, crypto, clock })
  stack.defer(() => temporalKeys.close())
  const accessTokens = createAccessTokens({ database, temporalKeys, crypto, clock })
  const publishedKeys = createPublishedKeys({
    database,
    temporalKeys,
    crypto,
    clock,
    rootKid: parts.serviceKeys.rootKid,
  })
  const shared = openSharedState(config.redisUrl, parts.serviceKeys.rootKid, parts.logger)
  stack.defer(() => shared.close())
  const limits = createRateLimits(config.limits, metrics, shared.createRateLimit)
  const queue = createLaneQueue(EXCHANGE_CONCURRENCY, config.exchangeQueueLength, () => performance.now())
  const lanes = {
    exchanges: queue,
    open_work: createLaneQueue(OPEN_WORK_CONCURRENCY, parts.openWorkWaiting ?? OPEN_WORK_WAITING, () =>
      performance.now(),
    ),
  }
  const passes = createPasses({ keyring, crypto, clock })
  let isDraining = false
  const readiness = createReadiness({
    database,
    auditor: parts.auditor,
    temporalKeys,
    verifyStoredKeys: createVerifyStoredKeys({ database, store: parts.store, crypto }),
    clock,
    wrapper: parts.wrapper,
    isDraining: () => isDraining,
    isScheduleHealthy: parts.isScheduleHealthy,
    jobQueues: parts.jobQueues,
  })
  const revocationFeed = createRevocationFeed({ database, clock, logger: parts.logger }, parts.listenerTiming)
  const refusals = createRefusals(parts, parts.lookForRefusalsEveryMs)
  stack.defer(() => refusals.close())
  const noteRefusal = refusals.note
  observe(parts, readiness, queue.waiting)
  const pin = parts.serviceKeys.rootKid
  const routes = listRoutes({
    trustDomain: config.trustDomain,
    profile: parts.serviceKeys.profile,
    version: parts.version,
    pin,
    federationPolicy: config.federationPolicy,
    apiTokenMaxDays: config.apiTokenMaxDays,
    securityContact: config.securityContact,
    database,
    auditor: parts.auditor,
    keyring,
    attestationSigner: parts.serviceKeys.attestationSigner,
    temporalKeys,
    accessTokens,
    publishedKeys,
    limits,
    queue,
    passes,
    readiness,
    revocationFeed,
    slowExportMs: parts.slowExportMs,
    jobQueues: parts.jobQueues,
    crypto,
    clock,
    writeEvent: parts.writeEvent,
    logger: parts.logger,
    metrics,
    announceRevoked: shared.announceRevoked,
    noteRefusal,
  })
  const readApiToken = (id: string) => findApiToken(database, id)
  const authenticate = createAuthenticate({
    findApiToken: (id) => shared.apiTokens?.get(id, () => readApiToken(id)) ?? readApiToken(id),
    accessTokens,
    crypto,
    clock,
    noteRefusal,
  })
  const listeners = await startListeners(parts, {
    routes,
    authenticate,
    limits,
    passes,
    lanes,
    bodyRoom: createBodyRoom(() => metrics.turnedAway.inc({ queue: 'bodies' }), parts.bodyRoomBytes),
    noteRefusedAccess: createNoteRefusedAccess({ ...parts, limit: shared.createRateLimit('refused_access', 1) }),
    noteRefusal,
    trustProxy: config.http.trustProxy,
    corsOrigins: config.http.corsOrigins,
    queues: parts.queues,
    logger: parts.logger,
    metrics,
    tracer: parts.tracer,
  })

  const { untilUnasked = () => sleep(config.drainSeconds * 1_000) } = parts
  const running = stack.move()
  return {
    url: listeners.api.url,
    operatorUrl: listeners.operator?.url,
    async close() {
      isDraining = true
      listeners.api.endConnections()
      await untilUnasked()
      // Who listens would be waited for.
      revocationFeed.close()
      await listeners.close()
      await running.disposeAsync()
    },
  }
}

function observe(parts: ServerParts, readiness: Readiness, waiting: () => number): void {
  const { metrics } = parts
  Object.assign(metrics.exchangeQueueDepth, { collect: () => metrics.exchangeQueueDepth.set(waiting()) })
  observeReadiness({ ...parts, readiness })
  observeDevices(parts)
  // From 0 on, or the first of each were no rise.
  for (const result of ['opened', 'established', 'internal', 'overloaded', 'unavailable']) {
    metrics.exchanges.inc({ result }, 0)
  }
  for (const queue of ['exchanges', 'open_work']) metrics.turnedAway.inc({ queue }, 0)
  for (const table of ['trust_anchor', 'reference_value', 'collateral']) metrics.inputMacMismatches.inc({ table }, 0)
  for (const why of ['subjects', 'events', 'outage']) metrics.refusalsUntold.inc({ why }, 0)
}
