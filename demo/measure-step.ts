/** What came of one step of the demo. Times are of single items, in milliseconds. */
export interface StepResult {
  title: string
  /** Of the items that were begun. */
  count: number
  timesMs: readonly number[]
  /** What did not go as it should; empty is success. */
  problems: readonly string[]
}

/** Of which at most this many are under way: the demo shows a fleet, it does not attack a service. */
const AT_ONCE = 8

/**
 * Does `work` on every item, a few at a time. One item's failure stays its own: it is counted, and the item is not among the
 * `done`, which are in the order of `items`. After `signal`, no further item is begun.
 */
export async function measureStep<I, O>(
  title: string,
  items: readonly I[],
  work: (item: I) => Promise<O>,
  { onItem, signal }: { onItem: () => void; signal: AbortSignal },
): Promise<{ done: O[]; result: StepResult }> {
  const done = new Map<number, O>()
  const timesMs: number[] = []
  const problems: string[] = []
  const rest = items.entries()

  async function takeNext(): Promise<void> {
    // The iterator is shared: each item is taken once.
    for (const [index, item] of rest) {
      if (signal.aborted) return
      const start = performance.now()
      try {
        done.set(index, await work(item))
        timesMs.push(performance.now() - start)
      } catch (error) {
        problems.push(error instanceof Error ? error.message : String(error))
      }
      onItem()
    }
  }

  await Promise.all(Array.from({ length: AT_ONCE }, takeNext))
  const inOrder = [...done].toSorted(([a], [b]) => a - b).map(([, value]) => value)
  return { done: inOrder, result: { title, count: done.size + problems.length, timesMs, problems } }
}

/** The time that a share of the items was below (nearest rank); NaN without any. */
export function percentile(timesMs: readonly number[], share: number): number {
  const sorted = timesMs.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}
