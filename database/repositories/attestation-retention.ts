import { sql } from 'kysely'
import type { Tx } from '../open.ts'

/** The end of results and evidence, for the jobs: what is found across tenants is ids, and each organization keeps its own rows. */

const DAY_MS = 86_400_000

/** Of the week of a UTC day, `YYYY-MM-DD`; true for one that was missing. */
export async function makeAttestationPartition(tx: Tx, day: string): Promise<boolean> {
  const { rows } = await sql<{ made: boolean }>`select make_attestation_partition(${day}::date) as made`.execute(tx)
  return rows[0]?.made ?? false
}

/** The UTC days, `YYYY-MM-DD`, before which the partitions end; the oldest first. */
export async function listAttestationPartitions(tx: Tx): Promise<string[]> {
  const { rows } = await sql<{ until: string }>`
    select until::text as until from list_attestation_partitions()`.execute(tx)
  return rows.map(({ until }) => until)
}

/** Before when results were removed; undefined where none were. */
export async function findResultsRemovedBefore(tx: Tx): Promise<number | undefined> {
  const { rows } = await sql<{ suffix: string; until: string }>`
    select suffix, until::text as until from list_attestation_partitions() limit 1`.execute(tx)
  const [oldest] = rows
  if (oldest === undefined || oldest.suffix === 'before') return undefined
  return Date.parse(oldest.until) - 7 * DAY_MS
}

interface ResultName {
  organizationId: string
  id: string
}

/** Results of partitions that end at that day or before, which somebody relies on, and which are not kept yet. */
export async function listReliedResults(tx: Tx, until: string, limit: number): Promise<ResultName[]> {
  const { rows } = await sql<{ organization_id: string; id: string }>`
    select organization_id, id from list_relied_results(${until}::date, ${limit})`.execute(tx)
  return rows.map(toResultName)
}

/** Copies these results; how many there were of them that were not kept yet. */
export async function keepResults(tx: Tx, ids: readonly string[]): Promise<number> {
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('kept_attestation_result')
    .expression((from) =>
      from.selectFrom('attestation_result').selectAll().where('id', '=', sql<string>`any (${ids}::uuid[])`),
    )
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst()
  return Number(numInsertedOrUpdatedRows)
}

/** Results that are kept, and that nobody relies on any more. */
export async function listUnneededResults(tx: Tx, limit: number): Promise<ResultName[]> {
  const { rows } = await sql<{ organization_id: string; id: string }>`
    select organization_id, id from list_unneeded_results(${limit})`.execute(tx)
  return rows.map(toResultName)
}

/** How many of these there were. */
export async function deleteKeptResults(tx: Tx, ids: readonly string[]): Promise<number> {
  const { numDeletedRows } = await tx
    .deleteFrom('kept_attestation_result')
    .where('id', '=', sql<string>`any (${ids}::uuid[])`)
    .executeTakeFirst()
  return Number(numDeletedRows)
}

/**
 * Drops the oldest partitions, which end at a day, all of it made before `madeBefore`; what they had, undefined where none end
 * there. PostgreSQL refuses what is younger, what is not the oldest, and what somebody relies on that is not kept.
 */
export async function dropAttestationPartition(
  tx: Tx,
  until: string,
  madeBefore: number,
): Promise<{ results: number; evidence: number } | undefined> {
  const { rows } = await sql<{ results: number; pieces: number }>`
    select results, pieces from drop_attestation_partition(${until}::date, ${new Date(madeBefore)})`.execute(tx)
  return rows[0] && { results: rows[0].results, evidence: rows[0].pieces }
}

function toResultName({ organization_id, id }: { organization_id: string; id: string }): ResultName {
  return { organizationId: organization_id, id }
}
