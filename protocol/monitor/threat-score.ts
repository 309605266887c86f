/** A device that nothing is heard of has half of its score after so long. */
export const THREAT_HALF_LIFE_MS = 3_600_000
/** More than this is not told apart. */
export const MAX_THREAT_SCORE = 1_000

/** What is left of a score of `scoredAt` at `now`; both in milliseconds since the Unix epoch. */
export function threatScoreAt({ score, scoredAt }: { score: number; scoredAt: number }, now: number): number {
  return score * 2 ** (-Math.max(0, now - scoredAt) / THREAT_HALF_LIFE_MS)
}
