import type { LoggedEntry } from '../../database/repositories/monitor.ts'
import type { AuditEvent } from '../../protocol/log/audit-event.ts'

/** An entry of the log, whose device it is about, and what it says. */
export interface FollowedEntry extends LoggedEntry, Pick<AuditEvent, 'data'> {
  deviceId: string
}
