/** About a day of tries. */
export const MOST_ATTEMPTS = 40

const FIRST_MS = 10_000
const LONGEST_MS = 3_600_000

/**
 * How long until the next try, in milliseconds, when so many have failed: twice as long each time, an hour at most, and what the
 * receiver asked for within that; from half of it on by chance, so that what failed together does not come together. `random`: 0 to 1.
 */
export function noticeDelayMs(attempts: number, retryAfterSeconds: number, random: number): number {
  const longest = Math.min(LONGEST_MS, FIRST_MS * 2 ** (attempts - 1))
  const asked = Math.min(LONGEST_MS, retryAfterSeconds * 1000)
  return Math.max(asked, Math.round(longest * (0.5 + random / 2)))
}
