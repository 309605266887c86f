import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { findNearest } from './client/command/find-nearest.ts'
import { bold } from './client/command/terminal.ts'
import { checkServer } from './database/check-server.ts'
import { connectRoles, type DatabaseRole, type RoleConnection } from './database/connect-roles.ts'
import { migrate } from './database/migrate.ts'
import { type Database, openDatabase } from './database/open.ts'
import { choosePrimitives } from './protocol/primitives/choose.ts'
import { createEventWriter } from './runtime/audit-events.ts'
import { createClock } from './runtime/clock.ts'
import { type Config, ConfigError, loadConfig, readEnvironment } from './runtime/config.ts'
import { describeStartError } from './runtime/describe-start-error.ts'
import { createLogger, type Logger } from './runtime/logger.ts'
import { createMetrics } from './runtime/metrics.ts'
import { observeProcess } from './runtime/observe-process.ts'
import { createReadableLog } from './runtime/readable-log.ts'
import { readVersion } from './runtime/release.ts'
import { adminTokenFile, keepAdminToken, refuseLoneRootKey } from './runtime/secrets.ts'
import { describeService } from './runtime/service-summary.ts'
import { stopOnSignals } from './runtime/shutdown.ts'
import { openTemporalKeyStore } from './runtime/temporal/open-temporal-key-store.ts'
import { timePrimitives } from './runtime/time-primitives.ts'
import { openTracer } from './runtime/tracing/open-tracer.ts'
import type { Tracer } from './runtime/tracing/tracer.ts'
import { findUnknownVariables } from './runtime/unknown-variables.ts'
import { composeServer } from './server/compose.ts'
import { composeOperatorPort, type OperatorPortParts } from './server/compose-operator-port.ts'
import { composeWorkers } from './workers/compose.ts'
import { composeQueues } from './workers/compose-queues.ts'
import { composeSequencer, type RunningSequencer } from './workers/compose-sequencer.ts'
import { initializeDefaultOrganization } from './workers/initialize-service.ts'
import { openLiveServiceKeys } from './workers/open-service-keys.ts'
import type { RunningWorkers } from './workers/start-workers.ts'
import { waitForFirstKeys } from './workers/wait-for-first-keys.ts'

const CLOCK_EVERY_MS = 60_000

export interface Service {
  /** Of the API; undefined where this process has another role. */
  url: string | undefined
  /** Of health and metrics, where they have a port of their own. */
  operatorUrl: string | undefined
  /** Drains: requests under way, then workers, pools, PostgreSQL. Safe to repeat. */
  stop(): Promise<void>
}

/** Starts the roles that the configuration names. Whatever was started is stopped again when a later step fails. */
export async function startService(
  config: Config,
  env: Record<string, string | undefined>,
  logger: Logger,
  options: { localClock?: () => number; onLost?: (part: string) => void; acceptLostCheckpoint?: boolean } = {},
): Promise<Service> {
  await using stack = new AsyncDisposableStack()
  const metrics = createMetrics()
  const version = readVersion()
  const tracer = await openTracer({ setting: config.tracing, version, roles: config.roles, logger })
  stack.defer(() => tracer.close())
  const crypto = timePrimitives(await choosePrimitives(config.crypto), metrics, tracer)
  const holdsKeys = isKeyHolder(config)
  const isFirst = makesFirstKeys(config)
  const { dataDirectory } = config
  if (config.database !== undefined) await mkdir(dataDirectory, { recursive: true, mode: 0o700 })
  const connections = await connectRoles(
    {
      urls: config.database,
      dataDirectory,
      claim: !holdsKeys ? undefined : config.temporalRedisUrl === undefined ? 'alone' : 'shared',
      log: (message) => logger.info(message),
      beforeCreating: () => refuseLoneRootKey(dataDirectory),
      onLost: () => options.onLost?.('PostgreSQL'),
    },
    stack,
  )
  const applied = connections.migrator === undefined ? [] : await migrate(connections.migrator)
  if (applied.length > 0) logger.info('migrations applied', { names: applied })
  const pools: { role: string; pool: Database }[] = []
  const open = async (role: Exclude<DatabaseRole, 'queues'>, maxConnections?: number): Promise<Database> => {
    const pool = await openRole(
      connections[role],
      maxConnections ?? config.databaseConnections,
      { logger, tracer },
      stack,
    )
    pools.push({ role, pool })
    return pool
  }
  const keeperRole = isFirst ? 'worker' : holdsKeys ? 'api' : 'sequencer'
  const keeper = await open(keeperRole)
  const clock = createClock(keeper.readClock, options.localClock)
  await clock.measure()
  const timer = setInterval(() => {
    clock.measure().catch((error: unknown) => logger.error('the clock could not be measured', {}, error))
  }, CLOCK_EVERY_MS)
  stack.defer(() => clearInterval(timer))
  observeProcess({ clock, pools, metrics })

  const writeEvent = createEventWriter(crypto)
  const common = { crypto, clock, writeEvent, logger, metrics, tracer }
  if (!isFirst) await waitForFirstKeys(keeper, logger)
  const { wrapper, serviceKeys } = await openLiveServiceKeys(
    { database: keeper, crypto, clock, writeEvent, logger },
    { config, env, mayMake: isFirst },
  )
  stack.defer(() => serviceKeys.close())
  const keepToken = (token: string) => keepAdminToken(adminTokenFile(dataDirectory), token)
  if (isFirst) {
    await initializeDefaultOrganization({ database: keeper, crypto, writeEvent, keepToken }, clock.now())
  }
  let sequencer: RunningSequencer | undefined
  if (config.roles.includes('sequencer')) {
    sequencer = await composeSequencer({
      ...common,
      config,
      database: holdsKeys ? await open('sequencer', SEQUENCER_CONNECTIONS) : keeper,
      observer: await open('sequencer', 1),
      connection: connections.locks,
      signers: serviceKeys,
      acceptLostCheckpoint: options.acceptLostCheckpoint ?? false,
      onFatal(error) {
        logger.error('the audit log is not the one that was signed', {}, error)
        options.onLost?.('The audit log')
      },
    })
    stack.defer(sequencer.close)
  }
  const openOperatorPort = async (worker: OperatorPortParts['worker']): Promise<ServiceUrls> => {
    const { operator } = config
    if (operator === undefined) return { url: undefined, operatorUrl: undefined }
    const port = await composeOperatorPort({
      ...common,
      config: { ...config, operator },
      version,
      database: keeper,
      worker,
      sequencer,
    })
    stack.defer(port.close)
    return { url: undefined, operatorUrl: port.url }
  }
  if (!holdsKeys) return toService(await openOperatorPort(undefined), stack)

  const store = await openTemporalKeyStore(config, serviceKeys.rootKid, logger, stack)
  const shared = { ...common, store }

  const hasWorkers = config.roles.includes('worker')
  const { redisUrl } = config
  const queues = await composeQueues({
    redisUrl,
    rootKid: serviceKeys.rootKid,
    connection: connections.queues,
    hasWorkers,
    logger,
  })
  stack.defer(() => queues.close())

  let workers: RunningWorkers | undefined
  if (hasWorkers) {
    const storedLog = await open('sequencer', 1)
    workers = await composeWorkers({
      ...shared,
      ...queues,
      config,
      wrapper,
      serviceKeys,
      database: keeper,
      storedLog,
    })
    stack.defer(workers.close)
  }
  if (config.roles.includes('api')) {
    const server = await composeServer({
      ...shared,
      serviceKeys,
      wrapper,
      config,
      version,
      database: keeperRole === 'api' ? keeper : await open('api'),
      auditor: await open('auditor'),
      isScheduleHealthy: workers?.isHealthy ?? (() => true),
      jobQueues: queues.jobQueues,
      queues: Object.values(queues.queues),
    })
    stack.defer(() => server.close())
    return toService(server, stack)
  }
  return toService(
    await openOperatorPort(workers && { isHealthy: workers.isHealthy, jobQueues: queues.jobQueues, wrapper }),
    stack,
  )
}

type ServiceUrls = Pick<Service, 'url' | 'operatorUrl'>

function toService({ url, operatorUrl }: ServiceUrls, stack: AsyncDisposableStack): Service {
  const running = stack.move()
  let stopping: Promise<void> | undefined
  return {
    url,
    operatorUrl,
    stop: () => (stopping ??= running.disposeAsync()),
  }
}

/** Sequencers alone hold no temporal keys. */
function isKeyHolder({ roles }: Config): boolean {
  return roles.includes('api') || roles.includes('worker')
}

/** Of processes that share a database the workers make what the first start makes; the admin token lies in a folder of theirs. */
function makesFirstKeys(config: Config): boolean {
  return config.roles.includes('worker') || (isKeyHolder(config) && config.database === undefined)
}

/** It writes one batch at a time, and reads for witnesses. */
const SEQUENCER_CONNECTIONS = 2

async function openRole(
  { connection, role, isPooled }: RoleConnection,
  maxConnections: number,
  { logger, tracer }: { logger: Logger; tracer: Tracer },
  stack: AsyncDisposableStack,
): Promise<Database> {
  await checkServer(connection, role, isPooled)
  const database = openDatabase({
    connection,
    role,
    isPooled,
    maxConnections,
    trace: (describe, work) => tracer.step('client', describe, work),
    onConnectionLost: (error) => logger.warn(`a database connection was lost: ${error.message}`),
  })
  stack.defer(() => database.close())
  return database
}

async function main(): Promise<void> {
  const env = readEnvironment()
  const output = process.stdout.isTTY ? createReadableLog(process.stdout) : undefined
  let logger = createLogger('info', output)
  try {
    const config = loadConfig(env)
    logger = createLogger(config.logLevel, output)
    for (const unknown of findUnknownVariables(env, findNearest)) logger.warn(unknown)
    const signals = stopOnSignals(logger)
    const service = await startService(config, env, logger, {
      onLost: (part) => signals.stop(1, `${part} was lost`),
      acceptLostCheckpoint: parseArguments(process.argv.slice(2)).acceptLostCheckpoint,
    })
    signals.onStop(service.stop)
    if (service.operatorUrl !== undefined) logger.info(`health and metrics at ${service.operatorUrl}`)
    logger.info(`ready at ${service.url ?? 'no address: this process works for others'}`, { url: service.url })
    if (process.stdout.isTTY) showService(config, service)
  } catch (error) {
    process.stderr.write(`${describeStartError(error)}\n`)
    process.exitCode = 1
  }
}

/** On a terminal: where everything is, and what to do next. */
function showService(config: Config, { url, operatorUrl }: Service): void {
  const hasAdminToken = existsSync(adminTokenFile(config.dataDirectory))
  const running = { url, operatorUrl, hasAdminToken, workingFolder: process.cwd() }
  const { headline, lines } = describeService(config, running)
  process.stdout.write(`\n${[bold(headline), '', ...lines].join('\n')}\n\n`)
}

function parseArguments(args: readonly string[]): { acceptLostCheckpoint: boolean } {
  const unknown = args.find((arg) => arg !== ACCEPT_LOST_CHECKPOINT)
  if (unknown !== undefined) {
    throw new ConfigError([`${unknown}: is no argument of the service; it takes ${ACCEPT_LOST_CHECKPOINT} alone.`])
  }
  return { acceptLostCheckpoint: args.length > 0 }
}

const ACCEPT_LOST_CHECKPOINT = '--accept-lost-checkpoint'

if (import.meta.main) await main()
