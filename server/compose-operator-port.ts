import type { Database } from '../database/open.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Config } from '../runtime/config.ts'
import type { Wrapper } from '../runtime/custody/wrapper.ts'
import type { JobQueues } from '../runtime/job-queues.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { noTracer } from '../runtime/tracing/tracer.ts'
import type { Lanes } from './claimants.ts'
import { ServiceError } from './errors.ts'
import type { HttpParts } from './http.ts'
import { observeReadiness } from './observe-readiness.ts'
import { createRateLimits } from './rate-limits.ts'
import { operationRoutes } from './routes/operations.ts'
import { type Checks, checkClock, checkDatabase, checkQueues, toReadiness } from './services/readiness.ts'
import type { NoteRefusal } from './services/refusal-tally.ts'
import { startOperatorPort } from './start-listeners.ts'

export interface OperatorPortParts {
  config: Pick<Config, 'http'> & { operator: NonNullable<Config['operator']> }
  version: string
  database: Database
  crypto: Primitives
  clock: Clock
  /** Of a process with this role. */
  worker: { isHealthy(): boolean; jobQueues: Pick<JobQueues, 'findTrouble'>; wrapper: Wrapper } | undefined
  sequencer: { isHealthy(): boolean } | undefined
  logger: Logger
  metrics: Metrics
}

/** Health, version and metrics of a process without the API, on the operator port. Throws ListenError. */
export async function composeOperatorPort(parts: OperatorPortParts): Promise<{ url: string; close(): Promise<void> }> {
  const { config, metrics, logger } = parts
  let isStopping = false
  const readiness = toReadiness({
    ...checksOf(parts),
    shutdown: async () => {
      if (isStopping) throw new Error('The process is stopping.')
    },
  })
  observeReadiness({ readiness, metrics, logger })
  const listener = await startOperatorPort(parts, config.operator, {
    ...withoutCallers(metrics),
    routes: operationRoutes({ ...parts, readiness, registry: metrics.registry }),
    logger,
    metrics,
    tracer: noTracer,
  })
  return {
    url: listener.url,
    close() {
      isStopping = true
      return listener.close()
    },
  }
}

function checksOf({ database, clock, worker, sequencer }: OperatorPortParts): Checks {
  const checks: Checks = { database: () => checkDatabase(database), clock: async () => checkClock(clock) }
  if (worker !== undefined) {
    checks.schedule = async () => {
      if (!worker.isHealthy()) throw new Error('A job of temporal keys failed, or the clock ran ahead.')
    }
    checks.queues = () => checkQueues(worker.jobQueues)
    checks.custody = () => worker.wrapper.checkHealth()
  }
  if (sequencer !== undefined) {
    checks.auditLog = async () => {
      if (!sequencer.isHealthy()) throw new Error('The sequencer failed and opens the log again.')
    }
  }
  return checks
}

/** What is for the machine itself asks for no credentials, and takes none. */
function withoutCallers(metrics: Metrics) {
  const none = () => {}
  const noteRefusal: NoteRefusal = {
    exchange: none,
    window: none,
    apiToken: none,
    enrollmentToken: none,
    notFound: none,
  }
  const authenticate = async () => {
    throw new ServiceError('unauthenticated', 'This process knows nobody.')
  }
  const lane: Lanes['open_work'] = { admits: () => true, run: (_claimant, task) => task() }
  return {
    authenticate: Object.assign(authenticate, { judge: async () => 'none' as const }),
    limits: createRateLimits({ address: 0, addressRefused: 0, apiToken: 0, device: 0, organization: 0 }, metrics),
    passes: { read: () => undefined },
    lanes: { exchanges: lane, open_work: lane },
    bodyRoom: { enter: () => none },
    noteRefusedAccess: async () => {},
    noteRefusal,
    queues: undefined,
    corsOrigins: [],
  } satisfies Partial<HttpParts>
}
