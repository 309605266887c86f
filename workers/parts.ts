import type { Database } from '../database/open.ts'
import type { Primitives } from '../protocol/primitives.ts'
import type { WriteEvent } from '../runtime/audit-events.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Keyring } from '../runtime/custody/keyring.ts'
import type { Signer } from '../runtime/custody/signer.ts'
import type { Wrapper } from '../runtime/custody/wrapper.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import type { RotationTimes } from '../runtime/rotation-setting.ts'
import type { TemporalKeyStore } from '../runtime/temporal/temporal-key-store.ts'
import type { Tracer } from '../runtime/tracing/tracer.ts'
import type { CheckAuditLogParts } from './jobs/check-audit-log.ts'
import type { CheckClocksParts } from './jobs/check-clocks.ts'
import type { DestructionLimit } from './jobs/destroy-temporal-keys.ts'
import type { IncidentWebhook } from './monitor/open-incident-webhook.ts'

/** What the jobs of a worker process work with; each takes what it uses. */
export interface WorkerParts extends CheckClocksParts, CheckAuditLogParts {
  /** As qflare_worker. */
  database: Database
  store: TemporalKeyStore
  keyring: Keyring
  bucketSigner: Signer
  wrapper: Wrapper
  rotation: RotationTimes
  /** This process follows a rotation at once. */
  refreshKeys: () => Promise<void>
  /** Of this process, from its start. */
  destructionLimit: DestructionLimit
  /** After the end of a day's last session. */
  retentionDays: number
  /** After the end of a week. */
  attestationRetentionDays: number
  /** After their resolution. */
  incidentRetentionDays: number
  /** 0: never. */
  identityKeyMaxAgeDays: number
  collateralWarningHours: number
  /** Undefined: incidents are told of in the log alone. */
  incidentWebhook: IncidentWebhook | undefined
  crypto: Primitives
  clock: Clock
  writeEvent: WriteEvent
  logger: Logger
  metrics: Metrics
  tracer: Tracer
}
