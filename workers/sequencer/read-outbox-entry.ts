import type { LogEntry, OutboxEntry } from '../../database/repositories/audit-log.ts'
import { readEntry } from '../../protocol/log/read-entry.ts'

/** A row of the outbox with what filters look for; or why it is no event. */
export function readOutboxEntry(row: OutboxEntry): LogEntry | { refused: string } {
  const facts = readEntry(row.entry)
  if ('refused' in facts) return facts
  if (facts.eventId === row.eventId && facts.organizationId === row.organizationId)
    return { ...facts, entry: row.entry }
  return { refused: 'It names another event or organization than its row.' }
}
