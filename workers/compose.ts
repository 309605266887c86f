import type { Database } from '../database/open.ts'
import { logOrigin } from '../protocol/log/checkpoint.ts'
import { readCheckpointFile } from '../runtime/checkpoint-file.ts'
import type { Config } from '../runtime/config.ts'
import type { LiveServiceKeys } from '../runtime/custody/live-service-keys.ts'
import type { Metrics } from '../runtime/metrics.ts'
import type { ComposedQueues } from './compose-queues.ts'
import { createDestructionLimit } from './jobs/destroy-temporal-keys.ts'
import { destroyUnknownRecords } from './jobs/destroy-unknown-records.ts'
import { makePartitionsAhead } from './jobs/make-session-partitions.ts'
import { destroyOverdueKeys, makeKeysAhead } from './jobs/schedule-temporal-keys.ts'
import { openIncidentWebhook } from './monitor/open-incident-webhook.ts'
import { observeApiTokens } from './observe-api-tokens.ts'
import { observeCollateral } from './observe-collateral.ts'
import { observeIncidents } from './observe-incidents.ts'
import { observeKeys } from './observe-keys.ts'
import { observeQueues } from './observe-queues.ts'
import { observeSessions } from './observe-sessions.ts'
import type { WorkerParts } from './parts.ts'
import { queueNames } from './queue-settings.ts'
import { jobs } from './queues.ts'
import { createCheckpointSigner } from './sequencer/sign-checkpoint.ts'
import { type RunningWorkers, startWorkers } from './start-workers.ts'

type Common = Pick<
  WorkerParts,
  'database' | 'store' | 'wrapper' | 'crypto' | 'clock' | 'writeEvent' | 'logger' | 'metrics' | 'tracer'
>

export interface ComposeWorkersParts extends Common, Pick<ComposedQueues, 'backend' | 'queues'> {
  config: Pick<
    Config,
    | 'trustDomain'
    | 'roles'
    | 'audit'
    | 'rotation'
    | 'sessionRetentionDays'
    | 'retention'
    | 'identityKeyMaxAgeDays'
    | 'collateralWarningHours'
    | 'incidentWebhook'
  >
  serviceKeys: LiveServiceKeys
  /** As qflare_sequencer, to read the whole log. */
  storedLog: Database
}

/**
 * The workers of every queue. Partitions and keys are there when this resolves, so that whoever starts afterwards finds them;
 * overdue keys are destroyed before new ones are made.
 */
export async function composeWorkers(composed: ComposeWorkersParts): Promise<RunningWorkers> {
  const { backend, queues, clock, logger } = composed
  const { incidentWebhook } = composed.config
  const parts = toParts(composed, incidentWebhook && (await openIncidentWebhook(incidentWebhook)))
  const unknown = await destroyUnknownRecords(parts, clock.now())
  if (unknown.length > 0)
    logger.warn('temporal keys that the database does not know were destroyed', { count: unknown.length })
  // The job does it again and again: a worker that starts beside a clock that jumped destroys nothing, and makes keys all the same.
  await destroyOverdueKeys(parts, clock.now()).catch((error: unknown) =>
    logger.error('overdue keys were not destroyed at the start', {}, error),
  )
  await makePartitionsAhead(parts, clock.now())
  await makeKeysAhead(parts, clock.now())
  observeKeys(parts)
  observeApiTokens(parts)
  observeSessions(parts)
  observeCollateral(parts)
  observeIncidents(parts)
  observeQueues({ ...parts, backend, queues, now: Date.now })
  beginCounters(parts.metrics)
  return startWorkers({ backend, queues, jobs, parts })
}

function toParts(composed: ComposeWorkersParts, incidentWebhook: WorkerParts['incidentWebhook']): WorkerParts {
  const { backend, config, serviceKeys, database, store, crypto, clock, writeEvent, logger, metrics, tracer } = composed
  const { checkpointFile } = config.audit
  const checkpointSigner = createCheckpointSigner(crypto, logOrigin(config.trustDomain), serviceKeys)
  const hasFile = config.roles.includes('sequencer')
  return {
    database,
    store,
    crypto,
    clock,
    writeEvent,
    logger,
    metrics,
    tracer,
    keyring: serviceKeys.keyring,
    bucketSigner: serviceKeys.bucketSigner,
    wrapper: composed.wrapper,
    rotation: config.rotation,
    refreshKeys: serviceKeys.refresh,
    destructionLimit: createDestructionLimit(() => performance.now(), clock.now()),
    retentionDays: config.sessionRetentionDays,
    attestationRetentionDays: config.retention.attestationDays,
    incidentRetentionDays: config.retention.incidentDays,
    identityKeyMaxAgeDays: config.identityKeyMaxAgeDays,
    collateralWarningHours: config.collateralWarningHours,
    incidentWebhook,
    readRedisClock: backend.readClock,
    storedLog: {
      database: composed.storedLog,
      // Of now: what a retired key signed, or its successor, is no finding.
      get keys() {
        return checkpointSigner.keys
      },
      readCheckpointFile: hasFile ? () => readCheckpointFile(checkpointFile) : undefined,
    },
  }
}

/** From 0 on, or the first of each were no rise. */
function beginCounters({ jobs: runs, incidentNotices, auditLogChecks }: Metrics): void {
  for (const queue of queueNames) {
    for (const result of ['completed', 'failed', 'dead', 'stalled']) runs.inc({ queue, result }, 0)
  }
  for (const result of ['delivered', 'failed', 'given_up']) incidentNotices.inc({ result }, 0)
  for (const result of ['well', 'difference', 'failed']) auditLogChecks.inc({ result }, 0)
}
