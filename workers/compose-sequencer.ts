import type { ClientConfig } from 'pg'
import { tryHoldLock } from '../database/hold-lock.ts'
import type { Database } from '../database/open.ts'
import { countOutbox } from '../database/repositories/audit-log.ts'
import { findPublishedCheckpoint } from '../database/repositories/audit-reader.ts'
import { logOrigin } from '../protocol/log/checkpoint.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { WriteEvent } from '../runtime/audit-events.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Config } from '../runtime/config.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
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

/** The sequencer of the audit log, or a candidate for it, and what keeps the log's tables small. Throws AuditLogError. */
export async function composeSequencer(parts: ComposeSequencerParts): Promise<{ close(): Promise<void> }> {
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
    async close() {
      clearInterval(timer)
      await pruning
      await collector.close()
      await sequencer.close()
    },
  }
}

/** Each metric is asked for by itself, all at once: one look serves them, and whoever asks again at once. */
function observe({ metrics, observer, clock }: ComposeSequencerParts, collector: CosignatureCollector): void {
  let looked: { at: number; log: ReturnType<typeof look> } | undefined
  const look = () =>
    observer.withoutOrganization(async (tx) => ({
      waiting: await countOutbox(tx, MAX_COUNTED),
      checkpoint: await findPublishedCheckpoint(tx),
    }))
  const see = () => {
    if (looked === undefined || performance.now() > looked.at + LOOK_AGAIN_MS)
      looked = { at: performance.now(), log: look() }
    return looked.log
  }
  const collect = (metric: object, set: () => Promise<void> | void) => Object.assign(metric, { collect: set })
  collect(metrics.auditOutboxDepth, async () => metrics.auditOutboxDepth.set((await see()).waiting))
  collect(metrics.auditLogSize, async () => metrics.auditLogSize.set((await see()).checkpoint?.size ?? 0))
  collect(metrics.auditCheckpointAgeSeconds, async () => {
    const { checkpoint } = await see()
    // Below 0 for one from the future, which is no good news either.
    if (checkpoint !== undefined) metrics.auditCheckpointAgeSeconds.set((clock.now() - checkpoint.signedAt) / 1000)
  })
  collect(metrics.auditWitnessAlarms, () => metrics.auditWitnessAlarms.set(collector.alarms().length))
}
