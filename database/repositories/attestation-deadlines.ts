import { sql } from 'kysely'
import type { Tx } from '../open.ts'

/** Whose attestation is overdue, for the job that watches: what is found across tenants is ids, and each organization changes its own. */

/** Devices of any organization that have a session and should have attested at a time or before; the longest overdue first. */
export async function listOverdueAttestations(
  tx: Tx,
  dueBefore: number,
  limit: number,
): Promise<{ organizationId: string; id: string }[]> {
  const { rows } = await sql<{ organization_id: string; id: string }>`
    select organization_id, id from list_overdue_attestations(${new Date(dueBefore)}, ${limit})`.execute(tx)
  return rows.map(({ organization_id, id }) => ({ organizationId: organization_id, id }))
}

/**
 * Of these devices those that are overdue still: one attestation more is missed, and the next one is due an interval later, but not
 * so long ago that it were overdue at once. Of a session that time has ended nothing is due. Whose row somebody else has locked, who
 * may be attesting, is left out, and nobody is waited for. How many each has missed now; how many of these there were.
 */
export async function countMissedAttestations(
  tx: Tx,
  ids: readonly string[],
  { now, intervalMs }: { now: number; intervalMs: number },
): Promise<{ seen: number; missed: { id: string; missed: number }[] }> {
  const dueBefore = new Date(now - intervalMs)
  const { rows } = await sql<{ id: string; missed: number; is_due: boolean }>`
    with overdue as materialized (
      select p.organization_id, p.id, p.active_session_id from principal p
        where p.organization_id = current_organization() and p.id = any (${ids}::uuid[]) and p.status = 'ACTIVE'
          and p.active_session_id is not null and p.next_attestation_at <= ${dueBefore}
        order by p.id for no key update skip locked),
    judged as (
      select o.*, exists (select from session s where s.organization_id = o.organization_id and s.id = o.active_session_id
          and s.expires_at > ${new Date(now)}) as is_due
        from overdue o)
    update principal as p set
        attestations_missed = p.attestations_missed + case when j.is_due then 1 else 0 end,
        next_attestation_at = case when not j.is_due then null
          when p.next_attestation_at + ${`${intervalMs} milliseconds`}::interval <= ${dueBefore} then ${new Date(now)}
          else p.next_attestation_at + ${`${intervalMs} milliseconds`}::interval end
      from judged j where p.organization_id = j.organization_id and p.id = j.id
      returning p.id, p.attestations_missed as missed, j.is_due`.execute(tx)
  const missed = rows.filter(({ is_due }) => is_due).map(({ id, missed }) => ({ id, missed }))
  return { seen: rows.length, missed }
}
