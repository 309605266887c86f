import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Queue } from 'bullmq'
import type { Database } from '../../database/open.ts'
import { readKeyState } from '../../database/repositories/service-keys.ts'
import { BUCKET_MS, bucketAt } from '../../protocol/exchange/bucket.ts'
import type { KeyPurpose } from '../../protocol/exchange/epochs.ts'
import { createNativePrimitives } from '../../protocol/primitives/native.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import { createEventWriter } from '../../runtime/audit-events.ts'
import type { LimitsPerMinute, TlsFiles } from '../../runtime/config.ts'
import { followServiceKeys, type LiveServiceKeys } from '../../runtime/custody/live-service-keys.ts'
import { createRootKeyWrapper } from '../../runtime/custody/wrapper.ts'
import type { JobQueues } from '../../runtime/job-queues.ts'
import { createLogger, type Logger } from '../../runtime/logger.ts'
import { createMetrics } from '../../runtime/metrics.ts'
import type { ProfileName } from '../../runtime/profile.ts'
import type { SecurityContact } from '../../runtime/security-contact-setting.ts'
import { openFileTemporalKeyStore } from '../../runtime/temporal/file-temporal-key-store.ts'
import type { TemporalKeyStore } from '../../runtime/temporal/temporal-key-store.ts'
import { noTracer } from '../../runtime/tracing/tracer.ts'
import { composeServer, type RunningServer } from '../../server/compose.ts'
import type { ListenerTiming } from '../../server/services/revocation-listener.ts'
import { createTemporalKeys, type TemporalKeys } from '../../server/services/temporal-keys.ts'
import { initializeDefaultOrganization, initializeKeys } from '../../workers/initialize-service.ts'
import { destroyTemporalKeys } from '../../workers/jobs/destroy-temporal-keys.ts'
import { makeSessionPartitions } from '../../workers/jobs/make-session-partitions.ts'
import { makeTemporalKeys } from '../../workers/jobs/make-temporal-keys.ts'
import { readServiceKeys } from '../../workers/open-service-keys.ts'
import { createReserveKekUses } from '../../workers/reserve-kek-uses.ts'
import { createTestDatabase, type TestDatabase } from './database.ts'
import { openTestLog, type TestLog } from './log-writer.ts'
import { deriveServerKey } from './server-keys.ts'

export const crypto = createNativePrimitives()

export interface TestService {
  url: string
  operatorUrl: string | undefined
  adminToken: string
  database: TestDatabase
  store: TemporalKeyStore
  /** As the processes follow them. */
  serviceKeys: LiveServiceKeys
  /** The service's clock: it stands still until a test moves it. */
  time: { now: number }
  /** What the server derives for a session: 64 bytes, to be compared with what a client says. */
  deriveKey(names: { sessionId: string; epoch: number; purpose: KeyPurpose }): Promise<Uint8Array>
  /** Of the epochs from `first` to `last`, as the API has them. */
  getEpochKeys: TemporalKeys['getEpochKeys']
  /** The log as it is verified, and what writes it. */
  log: TestLog
  /** One run of the schedule at the service's time, and a fresh checkpoint; events stay in the outbox until `log.sequence`. */
  tick(): Promise<void>
  /** One more process of the API on the same database, log and clock, with connections and memory of its own. */
  startNode(options?: NodeOptions): Promise<RunningServer>
  close(): Promise<void>
}

export interface NodeOptions {
  store?: TemporalKeyStore
  redisUrl?: string
  limits?: Partial<LimitsPerMinute>
  isScheduleHealthy?: () => boolean
  slowExportMs?: number
  /** At the turn of a minute, within a moment; without it when it closes, so that no other event comes in between. */
  tellsRefusals?: boolean
}

/** The real service on a real database, in this process, with a clock that the test owns. */
export async function startTestService(
  options: {
    exchangeQueueLength?: number
    /** Null where nobody is named. */
    securityContact?: SecurityContact | null
    profile?: ProfileName
    /** The machine's clock, and a running schedule and log, for clients that have clocks of their own. */
    isRealTime?: boolean
    trustProxy?: string[]
    corsOrigins?: string[]
    /** Off where it is not given. */
    connectionsPerAddress?: number
    tls?: TlsFiles
    hasOperatorPort?: boolean
    /** Off where it is not given. */
    limits?: Partial<LimitsPerMinute>
    maxConnections?: number
    logger?: Logger
    /** None without it. */
    jobQueues?: JobQueues
    queues?: readonly Pick<Queue, 'name'>[]
    wrapStore?: (store: TemporalKeyStore) => TemporalKeyStore
    /** Of limits and caches. */
    redisUrl?: string
    tellsRefusals?: boolean
    /** Of the API alone, to hold a request where a test wants it. */
    wrapDatabase?: (database: Database) => Database
    /** 32 bytes. */
    rootKey?: Uint8Array
    apiTokenMaxDays?: number
    /** When it begins; milliseconds since the Unix epoch. */
    now?: number
    /** Of one partition of the log, a whole number of 256. */
    partitionEntries?: number
    /** Its drain lasts until then; without it there is none. */
    untilUnasked?: () => Promise<void>
    /** Of whoever hears of revocations. */
    listenerTiming?: ListenerTiming
    openWorkWaiting?: number
    bodyRoomBytes?: number
    /** Of the server alone, to see what it computes. */
    crypto?: Primitives
  } = {},
): Promise<TestService> {
  const database = await createTestDatabase()
  if (options.partitionEntries !== undefined) {
    await database.sql.query('update audit_log_state set partition_entries = $1', [options.partitionEntries])
  }
  const folder = await mkdtemp(join(tmpdir(), 'qflare-temporal-'))
  const fileStore = await openFileTemporalKeyStore(folder)
  const store = options.wrapStore?.(fileStore) ?? fileStore
  // The middle of a bucket, so that no test meets an edge by chance.
  const begin = bucketAt(options.now ?? Date.now()) * BUCKET_MS + BUCKET_MS / 2
  const time = options.isRealTime ? realTime() : { now: begin }
  const clock = { now: () => time.now, offsetMs: () => 0, measuredAt: () => time.now, measure: async () => {} }
  const worker = database.open('qflare_worker')
  const opened = database.open('qflare_api', options.maxConnections)
  const api = options.wrapDatabase?.(opened) ?? opened
  const wrapper = createRootKeyWrapper(crypto, options.rootKey ?? crypto.randomBytes(32))
  const writeEvent = createEventWriter(crypto)
  const { profile = 'default' } = options
  const begun = { trustDomain: 'test.example', profile }
  await initializeKeys({ database: worker, wrapper, crypto, writeEvent }, begun, time.now)
  let adminToken = ''
  const keepToken = async (token: string) => {
    adminToken = token
  }
  await initializeDefaultOrganization({ database: worker, crypto, writeEvent, keepToken }, time.now)
  const serviceKeys = await followServiceKeys({
    crypto,
    wrapper,
    logger: options.logger ?? createLogger('silent'),
    readState: () => worker.withoutOrganization(readKeyState),
    readKeys: () => readServiceKeys(worker),
    reserveUses: createReserveKekUses({ database: worker, clock, writeEvent }),
  })
  const log = await openTestLog({
    database: database.open('qflare_sequencer'),
    signers: serviceKeys,
    crypto,
    clock,
    writeEvent,
    trustDomain: 'test.example',
    checkpointFile: join(folder, 'audit-checkpoint'),
  })
  const parts = { database: worker, store, ...serviceKeys, crypto, writeEvent }
  const tick = async () => {
    await destroyTemporalKeys(parts, { allow: (below) => below }, time.now)
    await makeSessionPartitions(worker, time.now)
    await makeTemporalKeys(parts, time.now)
    await log.writer.publish()
  }
  await tick()
  let ticking: Promise<void> = Promise.resolve()
  const next = () => {
    ticking = ticking.then(tick).then(() => log.sequence())
  }
  const temporalKeys = createTemporalKeys({ database: api, store, keyring: serviceKeys.keyring, crypto, clock })
  const timer = options.isRealTime ? setInterval(next, 1_000) : undefined
  const startServer = (database: Database, auditor: Database, node: NodeOptions) =>
    composeServer({
      config: {
        http: {
          host: '127.0.0.1',
          port: 0,
          trustProxy: options.trustProxy,
          corsOrigins: options.corsOrigins ?? [],
          connectionsPerAddress: options.connectionsPerAddress ?? 0,
          tls: options.tls,
        },
        operator: options.hasOperatorPort ? { host: '127.0.0.1', port: 0 } : undefined,
        drainSeconds: 0,
        limits: { address: 0, addressRefused: 0, apiToken: 0, device: 0, organization: 0, ...node.limits },
        securityContact: options.securityContact === null ? undefined : (options.securityContact ?? testContact),
        redisUrl: node.redisUrl,
        trustDomain: 'test.example',
        exchangeQueueLength: options.exchangeQueueLength ?? 512,
        federationPolicy: 'development',
        apiTokenMaxDays: options.apiTokenMaxDays ?? 365,
      },
      tracer: noTracer,
      version: '0.0.0-test',
      database,
      auditor,
      store: node.store ?? store,
      serviceKeys,
      wrapper,
      crypto: options.crypto ?? crypto,
      clock,
      jobQueues: options.jobQueues ?? noJobs,
      queues: options.queues ?? [],
      isScheduleHealthy: node.isScheduleHealthy ?? (() => true),
      writeEvent,
      slowExportMs: node.slowExportMs,
      bodyRoomBytes: options.bodyRoomBytes,
      logger: options.logger ?? createLogger('silent'),
      metrics: createMetrics(),
      ...(options.untilUnasked === undefined ? {} : { untilUnasked: options.untilUnasked }),
      ...(options.openWorkWaiting === undefined ? {} : { openWorkWaiting: options.openWorkWaiting }),
      ...(options.listenerTiming === undefined ? {} : { listenerTiming: options.listenerTiming }),
      lookForRefusalsEveryMs: node.tellsRefusals === true ? 20 : NEVER_MS,
    })
  const server = await startServer(api, database.open('qflare_auditor'), options)
  const nodes: RunningServer[] = []
  return {
    url: server.url,
    operatorUrl: server.operatorUrl,
    adminToken,
    database,
    store,
    serviceKeys,
    time,
    log,
    tick,
    getEpochKeys: temporalKeys.getEpochKeys,
    deriveKey: (names) => deriveServerKey({ database, temporalKeys, crypto }, names),
    async startNode(node = {}) {
      const started = await startServer(database.open('qflare_api', 4), database.open('qflare_auditor', 2), node)
      nodes.push(started)
      return started
    },
    async close() {
      temporalKeys.close()
      clearInterval(timer)
      await ticking
      for (const node of [...nodes, server]) await node.close()
      serviceKeys.close()
      await database.drop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** The longest that a timer takes. */
const NEVER_MS = 2 ** 31 - 1
const testContact = { contacts: ['mailto:security@test.example'], policy: undefined, languages: ['en'] }

/** Queues with one job in them, which nobody runs. */
export const noJobs: JobQueues = {
  canRun: (name) => name === 'idle',
  list: async () => [],
  listFailed: async () => [],
  findFailed: async (id) =>
    id === 'long:1' ? { id, job: 'idle', queue: 'long', failedAt: 0, attempts: 1, reason: 'none' } : undefined,
  retry: async () => true,
  run: async () => {},
  findTrouble: async () => undefined,
}

function realTime(): { now: number } {
  return Object.defineProperty({ now: 0 }, 'now', { get: () => Date.now() })
}
