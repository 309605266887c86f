import { sql } from 'kysely'
import { MAX_THREAT_SCORE, THREAT_HALF_LIFE_MS } from '../../protocol/monitor/threat-score.ts'
import type { Tx } from '../open.ts'

/** What is left of the score is added to; of a time before that of the score nothing decays. */
export async function raiseThreatScore(
  tx: Tx,
  { organizationId, deviceId, by }: { organizationId: string; deviceId: string; by: number },
  at: number,
): Promise<void> {
  const elapsedMs = sql<number>`greatest(0, extract(epoch from excluded.scored_at - t.scored_at) * 1000)`
  await sql`insert into threat_score as t (organization_id, device_id, score, scored_at)
    values (${organizationId}, ${deviceId}, ${Math.min(by, MAX_THREAT_SCORE)}, ${new Date(at)})
    on conflict (organization_id, device_id) do update set
      score = least(${MAX_THREAT_SCORE}, t.score * 2 ^ (-${elapsedMs} / ${THREAT_HALF_LIFE_MS}) + excluded.score),
      scored_at = greatest(t.scored_at, excluded.scored_at)`.execute(tx)
}

/** Of a score that was set so long ago next to nothing is left. */
export async function deleteThreatScoresBefore(tx: Tx, before: number): Promise<void> {
  await tx
    .deleteFrom('threat_score')
    .where('scored_at', '<', sql<number>`${new Date(before)}`)
    .execute()
}

export interface ThreatScore {
  deviceId: string
  /** As the device is now. */
  name: string | undefined
  status: string | undefined
  /** Of `scoredAt`. */
  score: number
  /** When it was last raised. */
  scoredAt: number
}

/**
 * Those of which most is left at `now` first, and those of which less than 1 is left not at all. There are as many rows as devices that
 * something was counted of within half a day.
 */
export async function listThreatScores(tx: Tx, { limit, now }: { limit: number; now: number }): Promise<ThreatScore[]> {
  const elapsedMs = sql`greatest(0, extract(epoch from ${new Date(now)}::timestamptz - t.scored_at) * 1000)`
  const left = sql<number>`t.score * 2 ^ (-${elapsedMs}::double precision / ${sql.lit(THREAT_HALF_LIFE_MS)})`
  const rows = await tx
    .selectFrom('threat_score as t')
    .leftJoin('principal as p', (join) =>
      join.onRef('p.organization_id', '=', 't.organization_id').onRef('p.id', '=', 't.device_id'),
    )
    .select(['t.device_id', 'p.name', 'p.status', 't.score', 't.scored_at'])
    .where(left, '>=', 1)
    .orderBy(left, 'desc')
    .orderBy('t.device_id')
    .limit(limit)
    .execute()
  return rows.map((row) => ({
    deviceId: row.device_id,
    name: row.name ?? undefined,
    status: row.status ?? undefined,
    score: row.score,
    scoredAt: row.scored_at,
  }))
}
