import { type RawBuilder, sql } from 'kysely'
import { MAX_THREAT_SCORE, THREAT_HALF_LIFE_MS } from '../../protocol/monitor/threat-score.ts'
import type { Tx } from '../open.ts'

/** After so many nothing is left of any score. PostgreSQL refuses a power that is too small to be told from 0. */
const MOST_HALF_LIVES = 100

/** By their ids; what is left of each score is added to, and of a time before that of the score nothing decays. In one statement. */
export async function raiseThreatScores(
  tx: Tx,
  raises: ReadonlyMap<string, { by: number; at: number }>,
): Promise<void> {
  const all = [...raises.values()]
  const halfLives = halfLivesBetween(sql`t.scored_at`, sql`excluded.scored_at`)
  const most = sql.lit(MAX_THREAT_SCORE)
  await sql`insert into threat_score as t (organization_id, device_id, score, scored_at)
    select current_organization(), device_id, least(${most}, by), at from unnest(${[...raises.keys()]}::uuid[],
      ${all.map(({ by }) => by)}::double precision[], ${all.map(({ at }) => new Date(at))}::timestamptz[]) as r(device_id, by, at)
    on conflict (organization_id, device_id) do update set
      score = least(${most}, t.score * 2 ^ (-${halfLives}) + excluded.score),
      scored_at = greatest(t.scored_at, excluded.scored_at)`.execute(tx)
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
