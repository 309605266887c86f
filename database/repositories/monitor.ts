import { sql } from 'kysely'
import type { AuditEventType } from '../../protocol/log/audit-event-types.ts'
import type { Tx } from '../open.ts'

/** How far the security monitor has read the log, and what its rules have counted of it. */

export interface LoggedEntry {
  index: number
  organizationId: string
  eventId: string
  /** Milliseconds since the Unix epoch. */
  at: number
  entry: string
}

export async function readMonitorPosition(tx: Tx): Promise<number> {
  const { next_index } = await tx.selectFrom('monitor_state').select('next_index').executeTakeFirstOrThrow()
  return next_index
}

/** How many entries of the log that are published it has not read yet. */
export async function readMonitorLag(tx: Tx): Promise<number> {
  const { rows } = await sql<{ lag: number }>`
    select greatest(0, l.published_size - m.next_index) as lag from audit_log_state l, monitor_state m`.execute(tx)
  return (rows[0] as { lag: number }).lag
}

/** Never back: of two who read at once the slower one changes nothing. */
export async function advanceMonitorPosition(tx: Tx, nextIndex: number): Promise<void> {
  await tx.updateTable('monitor_state').set({ next_index: nextIndex }).where('next_index', '<', nextIndex).execute()
}

/** As qflare_sequencer: entries of all organizations that a published checkpoint covers, at most `span` of the log from `from` on. */
export async function listWatchedEntries(
  tx: Tx,
  { from, span, types }: { from: number; span: number; types: readonly AuditEventType[] },
): Promise<{ entries: LoggedEntry[]; end: number; publishedSize: number }> {
  const state = await tx.selectFrom('audit_log_state').select('published_size').executeTakeFirstOrThrow()
  const end = Math.min(from + span, state.published_size)
  const rows = await tx
    .selectFrom('audit_entry')
    .select(['index', 'organization_id', 'event_id', 'at', 'entry'])
    .where('index', '>=', from)
    .where('index', '<', end)
    .where('type', '=', sql<string>`any (${types}::text[])`)
    .orderBy('index')
    .execute()
  const entries = rows.map(({ organization_id, event_id, ...row }) => ({
    ...row,
    organizationId: organization_id,
    eventId: event_id,
  }))
  return { entries, end, publishedSize: state.published_size }
}

/** Who judges an organization's entries holds its position until the commit; where it stands. */
export async function lockOwnPosition(tx: Tx, organizationId: string): Promise<number> {
  await tx
    .insertInto('monitor_position')
    .values({ organization_id: organizationId, next_index: 0 })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  const row = await tx.selectFrom('monitor_position').select('next_index').forNoKeyUpdate().executeTakeFirstOrThrow()
  return row.next_index
}

/** The caller holds it. */
export async function setOwnPosition(tx: Tx, nextIndex: number): Promise<void> {
  await tx.updateTable('monitor_position').set({ next_index: nextIndex }).execute()
}

/** What a rule counts of an entry. */
export interface Signal {
  index: number
  eventId: string
  at: number
  count: number
  deviceId: string | undefined
}

interface SignalGroup {
  rule: string
  subject: string
}

export async function insertSignals(
  tx: Tx,
  organizationId: string,
  { rule, subject }: SignalGroup,
  signals: readonly Signal[],
): Promise<void> {
  await tx
    .insertInto('monitor_signal')
    .values(
      signals.map(({ index, eventId, at, count, deviceId }) => ({
        organization_id: organizationId,
        rule,
        subject,
        index,
        event_id: eventId,
        at: new Date(at),
        count,
        device_id: deviceId ?? null,
      })),
    )
    .execute()
}

/** In the order of the log. */
export async function listSignals(tx: Tx, { rule, subject }: SignalGroup): Promise<Signal[]> {
  const rows = await tx
    .selectFrom('monitor_signal')
    .select(['index', 'event_id', 'at', 'count', 'device_id'])
    .where('rule', '=', rule)
    .where('subject', '=', subject)
    .orderBy('index')
    .execute()
  return rows.map(({ event_id, device_id, ...row }) => ({
    ...row,
    eventId: event_id,
    deviceId: device_id ?? undefined,
  }))
}

export async function deleteSignals(tx: Tx, { rule, subject }: SignalGroup): Promise<void> {
  await tx.deleteFrom('monitor_signal').where('rule', '=', rule).where('subject', '=', subject).execute()
}

export async function deleteSignalsBefore(tx: Tx, before: number): Promise<void> {
  await tx
    .deleteFrom('monitor_signal')
    .where('at', '<', sql<number>`${new Date(before)}`)
    .execute()
}
