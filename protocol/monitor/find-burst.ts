/** What a rule counted, in the order of the log. */
export interface Counted {
  /** Milliseconds since the Unix epoch. */
  at: number
  count: number
}

/**
 * Where in these the first window begins that holds as much as the threshold; undefined for none. Windows end with each of them, so
 * that a burst is found also when it is read long after.
 */
export function findBurst(
  counted: readonly Counted[],
  { threshold, windowSeconds }: { threshold: number; windowSeconds: number },
): number | undefined {
  let start = 0
  let sum = 0
  for (const { at, count } of counted) {
    sum += count
    for (let oldest = counted[start]; oldest !== undefined && oldest.at <= at - windowSeconds * 1000; ) {
      sum -= oldest.count
      oldest = counted[++start]
    }
    if (sum >= threshold) return start
  }
  return undefined
}
