import { CompiledQuery } from 'kysely'
import { toEventError } from '../errors.ts'
import type { Database, Scope, Statement, Tx } from '../open.ts'
import type { StatementResult } from '../pipelined-transaction.ts'

/** One event, ready to be logged: `entry` is its canonical JSON. */
export interface OutboxRow {
  eventId: string
  organizationId: string
  entry: string
}

/** The last statement of every transaction that changes something: no event, no commit. Throws `event_refused`. */
export async function insertEvents(tx: Tx, rows: readonly OutboxRow[]): Promise<void> {
  try {
    await tx.executeQuery(CompiledQuery.raw(insertEventsText(1), insertEventsValues(rows)))
  } catch (error) {
    throw toEventError(error)
  }
}

/** `sendTransaction` of statements that store events. Throws `event_refused` too. */
export async function sendWithEvents(
  database: Database,
  scope: Scope,
  statements: readonly Statement[],
): Promise<[string, ...StatementResult[]]> {
  try {
    return await database.sendTransaction(scope, statements)
  } catch (error) {
    throw toEventError(error)
  }
}

/** Events as a statement of their own. */
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
