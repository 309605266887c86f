import { setImmediate } from 'node:timers/promises'

/** `each` of every item, and between slices of them whatever else waits for this thread. */
export async function inSlices<T>(items: readonly T[], sliceLength: number, each: (item: T) => void): Promise<void> {
  for (const [index, item] of items.entries()) {
    if (index > 0 && index % sliceLength === 0) await setImmediate()
    each(item)
  }
}
