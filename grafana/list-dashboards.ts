import { attestation } from './attestation.ts'
import { auditLog } from './audit-log.ts'
import type { Dashboard } from './describe.ts'
import { fleet } from './fleet.ts'
import { incidents } from './incidents.ts'
import { overview } from './overview.ts'
import { temporalKeys } from './temporal-keys.ts'
import { workers } from './workers.ts'

export const dashboards: readonly Dashboard[] = [
  overview,
  fleet,
  temporalKeys,
  attestation,
  auditLog,
  workers,
  incidents,
]
