import { type RawBuilder, sql } from 'kysely'
import { MAX_THREAT_SCORE, THREAT_HALF_LIFE_MS } from '../../protocol/monitor/threat-score.ts'
import type { Tx } from '../open.ts'

/** After so many nothing is left of any score. PostgreSQL refuses a power that is too small to be told from 0. */
const MOST_HALF_LIVES = 100

/** What is left of the score is added to; of a time before that of the score nothing decays. */
export async function raiseThreatScore(
  tx: Tx,
  { organizationId, deviceId, by }: { organizationId: string; deviceId: string; by: number },
  at: number,
): Promise<void> {
  const halfLives = halfLivesBetween(sql`t.scored_at`, sql`excluded.scored_at`)
  await sql`insert into threat_score as t (organization_id, device_id, score, scored_at)
    values (${organizationId}, ${deviceId}, ${Math.min(by, MAX_THREAT_SCORE)}, ${new Date(at)})
    on conflict (organization_id, device_id) do update set
      score = least(${MAX_THREAT_SCORE}, t.score * 2 ^ (-${halfLives}) + excluded.score),
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
  const left = sql<number>`t.score * 2 ^ (-${halfLivesBetween(sql`t.scored_at`, sql`${new Date(now)}::timestamptz`)})`
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

function halfLivesBetween(since: RawBuilder<unknown>, until: RawBuilder<unknown>): RawBuilder<number> {
  const passed = sql`extract(epoch from ${until} - ${since})::double precision * 1000 / ${sql.lit(THREAT_HALF_LIFE_MS)}`
  return sql<number>`least(greatest(0, ${passed}), ${sql.lit(MOST_HALF_LIVES)})`
}
