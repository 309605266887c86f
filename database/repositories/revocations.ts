import { sql } from 'kysely'
import type { PrincipalStatus } from '../../protocol/enrollment.ts'
import type { Tx } from '../open.ts'

/** The news of an organization: who may not take part any more, or may again. */

/**
 * As the status changes, in the same transaction; the principal's row is locked by the caller. The number is the next one of the
 * organization, whose other news wait from here to the commit: so this comes last, before the event.
 */
export async function insertRevocation(
  tx: Tx,
  news: { principalId: string; status: PrincipalStatus },
  changedAt: number,
): Promise<void> {
  await sql`with feed as (
      insert into revocation_feed as f (organization_id, last_sequence) values (current_organization(), 1)
        on conflict (organization_id) do update set last_sequence = f.last_sequence + 1 returning last_sequence)
    insert into revocation (organization_id, sequence, principal_id, status, changed_at)
      select current_organization(), last_sequence, ${news.principalId}, ${news.status}, ${new Date(changedAt)}
      from feed`.execute(tx)
}

/**
 * Tells once more who of a federation may not take part, for whoever hears of it from now on: of all its members, or of the one that
 * was added. What becomes of them meanwhile is told behind this: the organization's other news wait from here to the commit.
 */
export async function restateRevocations(
  tx: Tx,
  { federationId, deviceId }: { federationId: string; deviceId: string | undefined },
  now: number,
): Promise<void> {
  await sql`insert into revocation_feed as f (organization_id, last_sequence) values (current_organization(), 0)
    on conflict (organization_id) do update set last_sequence = f.last_sequence`.execute(tx)
  await sql`with barred as (
      select p.id, p.status, row_number() over (order by p.id) as place
        from federation_member m join principal p on p.organization_id = m.organization_id and p.id = m.device_id
        where m.organization_id = current_organization() and m.federation_id = ${federationId}
          and (${deviceId ?? null}::uuid is null or m.device_id = ${deviceId ?? null})
          and p.status in ('QUARANTINED', 'SUSPENDED', 'REVOKED')),
    feed as (
      update revocation_feed set last_sequence = last_sequence + (select count(*) from barred)
        where organization_id = current_organization() returning last_sequence)
    insert into revocation (organization_id, sequence, principal_id, status, changed_at)
      select current_organization(), last_sequence - (select count(*) from barred) + place, id, status, ${new Date(now)}
      from feed, barred`.execute(tx)
}

/** Organizations that have news of before a time, of the oldest `limit` of these. */
export async function listOrganizationsWithOldNews(tx: Tx, before: number, limit: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select id from list_old_revocations(${new Date(before)}, ${limit}) as id`.execute(tx)
  return rows.map(({ id }) => id)
}

/** The organization's oldest, at most `limit`; how many there were. */
export async function deleteOldRevocations(tx: Tx, before: number, limit: number): Promise<number> {
  const { numDeletedRows } = await tx
    .deleteFrom('revocation')
    .where('sequence', 'in', (from) =>
      from
        .selectFrom('revocation')
        .select('sequence')
        .where('changed_at', '<', sql<number>`${new Date(before)}`)
        .orderBy('sequence')
        .limit(limit),
    )
    .executeTakeFirst()
  return Number(numDeletedRows)
}
