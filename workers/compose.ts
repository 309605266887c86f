import type { Database } from '../database/open.ts'
import { countLiveTemporalKeys } from '../database/repositories/temporal-keys.ts'
import { bucketAt, SKEW_MS } from '../protocol/exchange/bucket.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { WriteEvent } from '../runtime/audit-events.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Keyring } from '../runtime/custody/keyring.ts'
import type { Signer } from '../runtime/custody/signer.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import type { TemporalKeyStore } from '../runtime/temporal/temporal-key-store.ts'
import { createDestructionLimit, destroyTemporalKeys } from './jobs/destroy-temporal-keys.ts'
import { destroyUnknownRecords } from './jobs/destroy-unknown-records.ts'
import { makeSessionPartitions } from './jobs/make-session-partitions.ts'
import { makeTemporalKeys } from './jobs/make-temporal-keys.ts'

export interface WorkerParts {
  database: Database
  store: TemporalKeyStore
  keyring: Keyring
  bucketSigner: Signer
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  logger: Logger
  metrics: Metrics
}

export interface Workers {
  /** The last run made every key that should exist, and nothing was held back. */
  isHealthy(): boolean
  close(): Promise<void>
}

/** How often the schedule looks at the clock, and how often it looks whether every key is still there; milliseconds. */
const TICK_MS = 2_000
const INSPECT_MS = 30_000

/**
 * The schedule of temporal keys and partitions, in this process: one run at a time. The first run is over when this
 * resolves, so that whoever starts afterwards finds the keys; overdue ones are destroyed before new ones are made.
 */
export async function composeWorkers(parts: WorkerParts): Promise<Workers> {
  const limit = createDestructionLimit(() => performance.now())
  let isHealthy = false
  let inspected = { bucket: -1, at: 0 }
  let running: Promise<void> | undefined

  async function run(): Promise<void> {
    const now = parts.clock.now()
    const { destroyed, isHeldBack } = await destroyTemporalKeys(parts, limit, now)
    for (const key of destroyed)
      parts.logger.info(`${key.kind} key destroyed`, { epoch: key.number, generation: key.generation })
    if (isHeldBack)
      parts.logger.error('The clock ran ahead: keys are overdue, but are not destroyed faster than time passes')
    isHealthy = !isHeldBack
    if (inspected.bucket === bucketAt(now + SKEW_MS) && performance.now() < inspected.at + INSPECT_MS) return
    const partitions = await makeSessionPartitions(parts.database, now)
    if (partitions.length > 0) parts.logger.info('session partitions made', { names: partitions })
    const made = await makeTemporalKeys(parts, now)
    if (made.length > 0) parts.logger.info('temporal keys made', { count: made.length, epoch: bucketAt(now) })
    const alive = await parts.database.withoutOrganization(countLiveTemporalKeys)
    for (const { kind, count } of alive) parts.metrics.temporalKeys.set({ state: kind }, count)
    inspected = { bucket: bucketAt(now + SKEW_MS), at: performance.now() }
  }

  const unknown = await destroyUnknownRecords(parts, parts.clock.now())
  if (unknown.length > 0)
    parts.logger.warn('temporal keys that the database does not know were destroyed', { count: unknown.length })
  await run()
  const timer = setInterval(() => {
    running ??= run()
      .catch((error: unknown) => {
        isHealthy = false
        parts.logger.error('the schedule of temporal keys failed and will be tried again', {}, error)
      })
      .finally(() => {
        running = undefined
      })
  }, TICK_MS)

  return {
    isHealthy: () => isHealthy,
    async close() {
      clearInterval(timer)
      await running
    },
  }
}
