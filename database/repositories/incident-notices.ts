import { sql } from 'kysely'
import type { IncidentNoticeType } from '../../protocol/monitor/incident-notice.ts'
import type { Tx } from '../open.ts'

/** What the receiver of notices is still to be told: found across tenants are ids, and each organization's transaction changes its own. */

export interface NewIncidentNotice {
  id: string
  incidentId: string
  type: IncidentNoticeType
  /** JSON. */
  body: string
}

/** Due at once, when this commits. */
export async function insertIncidentNotices(
  tx: Tx,
  organizationId: string,
  notices: readonly NewIncidentNotice[],
  at: number,
): Promise<void> {
  if (notices.length === 0) return
  // Of a long look there may be more than a statement has parameters.
  await sql`insert into incident_notice (organization_id, incident_id, id, type, body, created_at, next_attempt_at)
    select ${organizationId}::uuid, *, ${new Date(at)}::timestamptz, ${new Date(at)}::timestamptz
      from unnest(${notices.map(({ incidentId }) => incidentId)}::uuid[], ${notices.map(({ id }) => id)}::uuid[],
        ${notices.map(({ type }) => type)}::text[], ${notices.map(({ body }) => body)}::text[])`.execute(tx)
}

/** Of any organization what is due then, the organizations in turn. */
export async function listDueIncidentNotices(
  tx: Tx,
  dueAt: number,
  limit: number,
): Promise<{ organizationId: string; id: string }[]> {
  const { rows } = await sql<{ organization_id: string; id: string }>`
    select organization_id, id from list_due_incident_notices(${new Date(dueAt)}, ${limit})`.execute(tx)
  return rows.map(({ organization_id: organizationId, id }) => ({ organizationId, id }))
}

/** Of a try. */
export interface ClaimedNotice extends NewIncidentNotice {
  /** With this one. */
  attempts: number
}

/**
 * Begins a try of one that is due still, which nobody else begins before `lostAt`. Undefined: it is not due any more, or somebody is
 * about to have it.
 */
export async function claimIncidentNotice(
  tx: Tx,
  id: string,
  { dueAt, lostAt }: { dueAt: number; lostAt: number },
): Promise<ClaimedNotice | undefined> {
  const due = tx
    .selectFrom('incident_notice')
    .select('id')
    .where('id', '=', id)
    .where('next_attempt_at', '<=', sql<number>`${new Date(dueAt)}`)
    .forUpdate()
    .skipLocked()
  const row = await tx
    .updateTable('incident_notice')
    .set((eb) => ({ attempts: eb('attempts', '+', 1), next_attempt_at: new Date(lostAt) }))
    .where('id', 'in', due)
    .returning(['id', 'incident_id', 'type', 'body', 'attempts'])
    .executeTakeFirst()
  if (row === undefined) return undefined
  const { incident_id: incidentId, ...notice } = row
  return { incidentId, ...notice }
}

type Try = Pick<ClaimedNotice, 'id' | 'attempts'>

/** False where another try has begun since: its outcome is what counts. */
export async function postponeIncidentNotice(tx: Tx, { id, attempts }: Try, nextAttemptAt: number): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('incident_notice')
    .set({ next_attempt_at: new Date(nextAttemptAt) })
    .where('id', '=', id)
    .where('attempts', '=', attempts)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** The same. */
export async function deleteIncidentNotice(tx: Tx, { id, attempts }: Try): Promise<boolean> {
  const { numDeletedRows } = await tx
    .deleteFrom('incident_notice')
    .where('id', '=', id)
    .where('attempts', '=', attempts)
    .executeTakeFirst()
  return numDeletedRows > 0n
}
