const BAR_WIDTH = 24
/** Before it, a rate says little. */
const RATE_AFTER_MS = 2000

/**
 * `██████░░░░  42 %  1,200 of 2,857 entries, 31,000 a second`, for `withProgress`. `total` undefined: how many there are is not
 * known yet. `elapsedMs`: since the first.
 */
export function progressText(
  { done, total }: { done: number; total: number | undefined },
  what: string,
  elapsedMs: number,
): string {
  const rate = elapsedMs < RATE_AFTER_MS ? '' : `, ${rateText(done, elapsedMs)}`
  if (total === undefined || total === 0) return `${done.toLocaleString('en')} ${what}${rate}`
  const share = Math.min(1, done / total)
  const full = Math.floor(share * BAR_WIDTH)
  const bar = '█'.repeat(full) + '░'.repeat(BAR_WIDTH - full)
  const percent = `${Math.floor(share * 100)} %`.padStart(5)
  return `${bar} ${percent}  ${done.toLocaleString('en')} of ${total.toLocaleString('en')} ${what}${rate}`
}

/** `31,000 a second`, of two digits. */
export function rateText(done: number, elapsedMs: number): string {
  const rate = Number(((done * 1000) / Math.max(1, elapsedMs)).toPrecision(2))
  return `${rate.toLocaleString('en')} a second`
}
