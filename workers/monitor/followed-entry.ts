import type { LoggedEntry } from '../../database/repositories/monitor.ts'
import type { AuditEvent } from '../../protocol/log/audit-event.ts'

/** An entry of the log, whose device it is about, and what it says. */
export interface FollowedEntry extends LoggedEntry, Pick<AuditEvent, 'type' | 'data'> {
  deviceId: string
}

/** An entry with which something came to be counted, and how much. */
export interface CountedEntry {
  index: number
  count: number
}
