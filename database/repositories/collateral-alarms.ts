import { sql } from 'kysely'
import type { Tx } from '../open.ts'
import type { Tables } from '../tables.ts'

/** Collateral that ends, for the job that tells of it: what is found across tenants is ids, and each organization notes its own. */

/** When, and how long before its end collateral is told of at most: never before the last quarter of its life. */
export interface CollateralAlarmTime {
  now: number
  warningSeconds: number
}

export interface CollateralAlarm {
  id: string
  stage: 'ending' | 'ended'
  kind: string
  lookupId: string
  name: string
  issuedAt: number
  nextUpdateAt: number
}

/** Of any organization what is in use and whose stage was not told yet; the first to end first. */
export async function listUntoldCollateral(
  tx: Tx,
  { now, warningSeconds }: CollateralAlarmTime,
  limit: number,
): Promise<{ organizationId: string; id: string }[]> {
  const { rows } = await sql<{ organization_id: string; id: string }>`
    select organization_id, id from list_untold_collateral(${new Date(now)}, ${warningSeconds}, ${limit})`.execute(tx)
  return rows.map(({ organization_id: organizationId, id }) => ({ organizationId, id }))
}

/**
 * Notes of these the stages that were not told yet, and gives those: whoever is given one tells it. Whose row somebody else has locked,
 * who removes it or tells of it, is left out, and nobody is waited for.
 */
export async function noteCollateralAlarms(
  tx: Tx,
  ids: readonly string[],
  { now, warningSeconds }: CollateralAlarmTime,
): Promise<CollateralAlarm[]> {
  const { rows } = await sql<AlarmRow>`
    with live as materialized (
      select c.organization_id, c.id, c.kind, c.lookup_id, c.name, c.issued_at, c.next_update_at from collateral c
        where c.organization_id = current_organization() and c.id = any (${ids}::uuid[]) and c.removed_at is null
        order by c.id for no key update skip locked),
    due as (
      select organization_id, id, collateral_stage(issued_at, next_update_at, ${new Date(now)}, ${warningSeconds}) as stage
        from live),
    noted as (
      insert into collateral_alarm (organization_id, collateral_id, stage, told_at)
        select organization_id, id, stage, ${new Date(now)} from due where stage is not null
        on conflict do nothing returning collateral_id, stage)
    select l.id, n.stage, l.kind, l.lookup_id, l.name, l.issued_at, l.next_update_at
      from noted n join live l on l.id = n.collateral_id order by l.id`.execute(tx)
  return rows.map(({ id, stage, kind, name, ...row }) => {
    return { id, stage, kind, name, lookupId: row.lookup_id, issuedAt: row.issued_at, nextUpdateAt: row.next_update_at }
  })
}

interface AlarmRow {
  id: string
  stage: Tables['collateral_alarm']['stage']
  kind: string
  lookup_id: string
  name: string
  issued_at: number
  next_update_at: number
}

export interface CollateralSummary {
  kind: string
  /** Of those that have not ended the first end; undefined where there is none. */
  endsAt: number | undefined
  /** Of the oldest. */
  issuedAt: number
  outOfDate: number
}

/** What is in use of all organizations together; none of a kind that nobody has. */
export async function summarizeCollateral(tx: Tx, now: number): Promise<CollateralSummary[]> {
  const { rows } = await sql<{ kind: string; ends_at: number | null; issued_at: number; out_of_date: number }>`
    select kind, ends_at, issued_at, out_of_date from summarize_collateral(${new Date(now)})`.execute(tx)
  return rows.map(({ kind, ends_at, issued_at: issuedAt, out_of_date: outOfDate }) => {
    return { kind, endsAt: ends_at ?? undefined, issuedAt, outOfDate }
  })
}
