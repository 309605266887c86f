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

export interface ComposeSequencerParts {
  config: Pick<Config, 'trustDomain' | 'audit'>
  /** As qflare_sequencer. */
  database: Database
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
    pruning ??= pruneAuditLog({ ...parts, retentionYears: config.audit.retentionYears }, parts.clock.now())
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

/** Each asks for itself: a scrape reads them in no order. */
function observe({ metrics, database, clock }: ComposeSequencerParts, collector: CosignatureCollector): void {
  Object.assign(metrics.auditWitnessAlarms, {
    collect: () => metrics.auditWitnessAlarms.set(collector.alarms().length),
  })
  const findCheckpoint = () => database.withoutOrganization(findPublishedCheckpoint)
  Object.assign(metrics.auditOutboxDepth, {
    collect: async () => metrics.auditOutboxDepth.set(await database.withoutOrganization(countOutbox)),
  })
  Object.assign(metrics.auditLogSize, {
    collect: async () => metrics.auditLogSize.set((await findCheckpoint())?.size ?? 0),
  })
  Object.assign(metrics.auditCheckpointAgeSeconds, {
    async collect() {
      const signedAt = (await findCheckpoint())?.signedAt
      if (signedAt !== undefined) metrics.auditCheckpointAgeSeconds.set(Math.max(0, clock.now() - signedAt) / 1000)
    },
  })
}
