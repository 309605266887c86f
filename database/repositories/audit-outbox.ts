import type { Statement, Tx } from '../open.ts'

/** One event, ready to be logged: `entry` is its canonical JSON. */
export interface OutboxRow {
  eventId: string
  organizationId: string
  entry: string
}

/** The last statement of every transaction that changes something: no event, no commit. */
export async function insertEvents(tx: Tx, rows: readonly OutboxRow[]): Promise<void> {
  await tx
    .insertInto('audit_outbox')
    .values(rows.map((row) => ({ organization_id: row.organizationId, event_id: row.eventId, entry: row.entry })))
    .execute()
}

/** The same for `sendTransaction`. */
export function insertEventsStatement(rows: readonly OutboxRow[]): Statement {
  return { name: 'insert_events', text: insertEventsText(1), values: insertEventsValues(rows) }
}

/** The same inside a statement of more parts, with the parameters from `first` on for `insertEventsValues`. */
export function insertEventsText(first: number): string {
  return `insert into audit_outbox (organization_id, event_id, entry)
    select * from unnest($${first}::uuid[], $${first + 1}::uuid[], $${first + 2}::text[])`
}

export function insertEventsValues(rows: readonly OutboxRow[]): [string[], string[], string[]] {
  return [rows.map((row) => row.organizationId), rows.map((row) => row.eventId), rows.map((row) => row.entry)]
}
