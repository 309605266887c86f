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
export async function lockOwnPosition(tx: Tx): Promise<number> {
  const { rows } = await sql<{ next_index: number }>`
    insert into monitor_position as p (organization_id, next_index) values (current_organization(), 0)
      on conflict (organization_id) do update set next_index = p.next_index returning next_index`.execute(tx)
  return (rows[0] as { next_index: number }).next_index
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

/** By what signals are counted together. */
export interface SignalName {
  rule: string
  subject: string
}

/** In one statement. */
export async function insertSignals(
  tx: Tx,
  groups: readonly (SignalName & { signals: readonly Signal[] })[],
): Promise<void> {
  const rows = groups.flatMap(({ rule, subject, signals }) => signals.map((signal) => ({ rule, subject, ...signal })))
  await sql`insert into monitor_signal (organization_id, rule, subject, index, event_id, at, count, device_id)
    select current_organization(), * from unnest(${rows.map(({ rule }) => rule)}::text[],
      ${rows.map(({ subject }) => subject)}::text[], ${rows.map(({ index }) => index)}::bigint[],
      ${rows.map(({ eventId }) => eventId)}::uuid[], ${rows.map(({ at }) => new Date(at))}::timestamptz[],
      ${rows.map(({ count }) => count)}::bigint[], ${rows.map(({ deviceId }) => deviceId ?? null)}::uuid[])`.execute(tx)
}

/**
 * Of each of these names all that are kept, in the order of the log; none where they do not come to `atLeast` together. What is far from
 * its threshold is not read again with each event, however much an organization wants to have counted.
 */
export async function listSignals(
  tx: Tx,
  names: readonly (SignalName & { atLeast: number })[],
): Promise<(SignalName & Signal)[]> {
  const { rows } = await sql<{
    rule: string
    subject: string
    index: number
    event_id: string
    at: number
    count: number
    device_id: string | null
  }>`select rule, subject, index, event_id, at, count, device_id
    from (select s.*, n.at_least, sum(s.count) over (partition by s.rule, s.subject) as total from monitor_signal s
      join unnest(${names.map(({ rule }) => rule)}::text[], ${names.map(({ subject }) => subject)}::text[],
          ${names.map(({ atLeast }) => atLeast)}::bigint[]) as n(rule, subject, at_least)
        on s.organization_id = current_organization() and s.rule = n.rule and s.subject = n.subject) as counted
    where total >= at_least order by index`.execute(tx)
  return rows.map(({ event_id: eventId, device_id, ...row }) => ({ ...row, eventId, deviceId: device_id ?? undefined }))
}

/** Each by its name and index. */
export async function deleteSignals(tx: Tx, signals: readonly (SignalName & Pick<Signal, 'index'>)[]): Promise<void> {
  await sql`delete from monitor_signal s using unnest(${signals.map(({ rule }) => rule)}::text[],
      ${signals.map(({ subject }) => subject)}::text[], ${signals.map(({ index }) => index)}::bigint[]) as d(rule, subject, index)
    where s.organization_id = current_organization() and s.rule = d.rule and s.subject = d.subject and s.index = d.index`.execute(
    tx,
  )
}

/** What no rule looks at any more: signals and networks of before the one time, threat scores of before the other. In one statement. */
export async function forgetCounted(
  tx: Tx,
  { watchedBefore, scoredBefore }: { watchedBefore: number; scoredBefore: number },
): Promise<void> {
  await sql`with signals as (delete from monitor_signal where at < ${new Date(watchedBefore)}),
      networks as (delete from device_network where seen_at < ${new Date(watchedBefore)})
    delete from threat_score where scored_at < ${new Date(scoredBefore)}`.execute(tx)
}
