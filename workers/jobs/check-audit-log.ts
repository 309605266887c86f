// Running it twice is harmless: it reads, and says once more what it found.

import { checkAuditLog } from '../../database/check-audit-log.ts'
import type { Database } from '../../database/open.ts'
import { insertEvents } from '../../database/repositories/audit-outbox.ts'
import { NIL_UUID } from '../../protocol/log/audit-event.ts'
import type { VerifierKey } from '../../protocol/log/verifier-key.ts'
import type { Primitives } from '../../protocol/primitives.ts'
import type { WriteEvent } from '../../runtime/audit-events.ts'
import { newId } from '../../runtime/ids.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Metrics } from '../../runtime/metrics.ts'
import { JobStopped, type Progress } from '../job.ts'

export interface CheckAuditLogParts {
  /** As qflare_worker, for the event. */
  database: Database
  storedLog: {
    /** As qflare_sequencer, who reads the log of all organizations. */
    database: Database
    keys: readonly VerifierKey[]
    /** Undefined where the sequencer, and with it the file, is elsewhere. */
    readCheckpointFile: (() => Promise<string | undefined>) | undefined
  }
  crypto: Primitives
  writeEvent: WriteEvent
  logger: Logger
  metrics: Pick<Metrics, 'auditLogChecks'>
}

/** Reads the whole log and compares it with everything that was signed. A difference is an event of severity critical. */
export async function checkStoredLog(parts: CheckAuditLogParts, now: number, progress: Progress): Promise<void> {
  const { size, differences } = await readWholeLog(parts, progress)
  const [first] = differences
  parts.metrics.auditLogChecks.inc({ result: first === undefined ? 'well' : 'difference' })
  if (first === undefined) {
    parts.logger.info('the audit log is what was signed', { count: size })
    return
  }
  const where = first.index === undefined ? first.what : `entry ${first.index} ${first.what}`
  parts.logger.error(`the audit log is not what was signed: ${where}; qflare audit check tells all`, {
    count: differences.length,
  })
  const event = parts.writeEvent(
    {
      organizationId: NIL_UUID,
      actor: { type: 'service', id: NIL_UUID },
      type: 'audit_log.difference_found',
      subject: {},
      data: { logSize: size, count: differences.length, index: first.index ?? null, what: first.what },
      requestId: newId(),
    },
    now,
  )
  await parts.database.withOrganization(NIL_UUID, (tx) => insertEvents(tx, [event]))
}

async function readWholeLog(parts: CheckAuditLogParts, progress: Progress): ReturnType<typeof checkAuditLog> {
  try {
    return await checkAuditLog({
      ...parts.storedLog,
      crypto: parts.crypto,
      signal: new AbortController().signal,
      onProgress: progress,
    })
  } catch (error) {
    if (!(error instanceof JobStopped)) parts.metrics.auditLogChecks.inc({ result: 'failed' })
    throw error
  }
}
