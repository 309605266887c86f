import { randomBytes } from 'node:crypto'
import type { Client } from 'pg'

/** Mondays: the first partitions end at the first of them, and two weeks of then are there. */
export const OLD_WEEKS = ['2021-03-01', '2021-03-08'] as const
/** When the second of them is over. */
export const AFTER_OLD_WEEKS = '2021-03-15'

/** As if the service were that old: what there is moves to the partition of its week. */
export async function beginInOldWeeks(sql: Client): Promise<void> {
  const tables = ['evidence', 'attestation_result']
  for (const table of tables) await sql.query(`alter table ${table} detach partition ${table}_before`)
  await sql.query(
    'select make_attestation_partition(d) from unnest($1::date[] || array[now()::date, now()::date + 7]) as d',
    [OLD_WEEKS],
  )
  const { rows } = await sql.query(`select first_id_of($1) as bound`, [OLD_WEEKS[0]])
  for (const table of tables) {
    await sql.query(`insert into ${table} select * from ${table}_before`)
    await sql.query(`truncate ${table}_before`)
    await sql.query(
      `alter table ${table} attach partition ${table}_before for values from (minvalue) to ('${rows[0].bound}')`,
    )
  }
}

/** A UUIDv7 of a time. */
export function idOf(at: number): string {
  const hex = `${at.toString(16).padStart(12, '0')}7${randomBytes(2).toString('hex').slice(1)}8${randomBytes(8).toString('hex').slice(1)}`
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

/** Makes the one result of a device, and its evidence, as old; its new id. */
export async function ageResult(sql: Client, deviceId: string, at: number): Promise<string> {
  const [id, evidenceId] = [idOf(at), idOf(at)]
  await sql.query('update evidence set id = $2 where principal_id = $1', [deviceId, evidenceId])
  await sql.query(
    'update attestation_result set id = $2, evidence_id = $3, appraised_at = $4 where principal_id = $1',
    [deviceId, id, evidenceId, new Date(at)],
  )
  return id
}
