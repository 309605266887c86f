import type { ClientConfig } from 'pg'
import { tryHoldLock } from '../database/hold-lock.ts'
import type { Database } from '../database/open.ts'
import { countOutbox, findOldestInOutbox } from '../database/repositories/audit-log.ts'
import { findPublishedCheckpoint } from '../database/repositories/audit-reader.ts'
import { logOrigin } from '../protocol/log/checkpoint.ts'
import { readEntry } from '../protocol/log/read-entry.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { WriteEvent } from '../runtime/audit-events.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Config } from '../runtime/config.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { observeTogether } from '../runtime/observe-together.ts'
import { pruneAuditLog } from './jobs/prune-audit-log.ts'
import type { AuditLogError } from './sequencer/audit-log-error.ts'
import type { CosignatureCollector } from './sequencer/collect-cosignatures.ts'
import { followWitnesses } from './sequencer/follow-witnesses.ts'
import { openWitnesses } from './sequencer/open-witnesses.ts'
import { startSequencer } from './sequencer/sequencer.ts'
import { type AuditSigners, createCheckpointSigner } from './sequencer/sign-checkpoint.ts'

/** Any number; the same in every release. */
const SEQUENCER_LOCK = 7_236_417_003
const PRUNE_EVERY_MS = 3_600_000
/** Of events that wait; more is as bad. */
const MAX_COUNTED = 100_000
const LOOK_AGAIN_MS = 2_000

export interface ComposeSequencerParts {
  config: Pick<Config, 'trustDomain' | 'audit'>
  /** As qflare_sequencer, for what writes. */
  database: Database
  /** The same, for metrics and for what prunes: they never take a connection from the writer. */
  observer: Database
  /** Of its lock. */
  connection: ClientConfig
  signers: AuditSigners
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  logger: Logger
  metrics: Metrics
  acceptLostCheckpoint: boolean
  onFatal: (error: AuditLogError) => void
}

export interface RunningSequencer {
  /** True of a candidate too. */
  isHealthy(): boolean
  close(): Promise<void>
}

/** The sequencer of the audit log, or a candidate for it, and what keeps the log's tables small. Throws AuditLogError. */
export async function composeSequencer(parts: ComposeSequencerParts): Promise<RunningSequencer> {
  const { config, crypto, logger } = parts
  const origin = logOrigin(config.trustDomain)
  const signer = createCheckpointSigner(crypto, origin, parts.signers)
  const witnesses = openWitnesses(crypto, config.audit.witnesses, origin)
  const lock = { key: SEQUENCER_LOCK, applicationName: 'qflare_sequencer_lock' }
  const sequencer = await startSequencer(
    {
      ...parts,
      signer,
      origin,
      checkpointFile: config.audit.checkpointFile,
      lock: () => tryHoldLock(parts.connection, lock, () => logger.warn('the lock of the sequencer broke')),
    },
    parts.acceptLostCheckpoint,
  )
  const collector = followWitnesses({
    ...parts,
    witnesses,
    isSequencer: sequencer.isSequencer,
  })
  observe(parts, collector)

  let pruning: Promise<void> | undefined
  const prune = () => {
    pruning ??= pruneAuditLog(
      { ...parts, database: parts.observer, retentionYears: config.audit.retentionYears },
      parts.clock.now(),
    )
      .catch((error: unknown) =>
        logger.error('the audit log could not be pruned; it is tried again in an hour', {}, error),
      )
      .finally(() => {
        pruning = undefined
      })
  }
  prune()
  const timer = setInterval(prune, PRUNE_EVERY_MS)
  return {
    isHealthy: sequencer.isHealthy,
    async close() {
      clearInterval(timer)
      await pruning
      await collector.close()
      await sequencer.close()
    },
  }
}

function observe({ metrics, observer, clock, logger }: ComposeSequencerParts, collector: CosignatureCollector): void {
  observeTogether({
    name: 'audit log',
    logger,
    keepMs: LOOK_AGAIN_MS,
    gauges: [
      metrics.auditOutboxDepth,
      metrics.auditOutboxAgeSeconds,
      metrics.auditLogSize,
      metrics.auditCheckpointAgeSeconds,
      metrics.auditWitnessAlarms,
    ],
    look: () =>
      observer.withoutOrganization(async (tx) => ({
        waiting: await countOutbox(tx, MAX_COUNTED),
        oldest: await findOldestInOutbox(tx),
        checkpoint: await findPublishedCheckpoint(tx),
      })),
    show({ waiting, oldest, checkpoint }) {
      const now = clock.now()
      const event = oldest === undefined ? undefined : readEntry(oldest)
      metrics.auditOutboxDepth.set(waiting)
      // What is no event has no time; the sequencer replaces it.
      metrics.auditOutboxAgeSeconds.set(
        event === undefined || 'refused' in event ? 0 : Math.max(0, now - event.at) / 1_000,
      )
      metrics.auditLogSize.set(checkpoint?.size ?? 0)
      // Below 0 for one from the future, which is no good news either.
      if (checkpoint !== undefined) metrics.auditCheckpointAgeSeconds.set((now - checkpoint.signedAt) / 1_000)
      metrics.auditWitnessAlarms.set(collector.alarms().length)
    },
  })
}
