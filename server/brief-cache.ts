/** What was found by an id, for a moment. */
export interface BriefCache<T> {
  /** What was found less than its life ago, else what `read` finds. Nothing that was not found is kept. */
  get(id: string, read: () => Promise<T | undefined>): Promise<T | undefined>
  /** What is read for it from now on is new, also by a reading under way. */
  forget(id: string): void
}

/** A revocation is seen everywhere within this time, whatever becomes of the news of it. */
export const MAX_CACHE_LIFE_MS = 1_000

/**
 * The life of an entry begins before it is read: what changes afterwards is old `MAX_CACHE_LIFE_MS` later at the latest. Of more
 * than `maxEntries` the oldest goes.
 */
export function createBriefCache<T>(maxEntries: number, monotonicMs: () => number): BriefCache<T> {
  const entries = new Map<string, { value: Promise<T | undefined>; endsAt: number }>()
  return {
    get(id, read) {
      const now = monotonicMs()
      const held = entries.get(id)
      if (held !== undefined && now < held.endsAt) return held.value
      const entry = { value: read(), endsAt: now + MAX_CACHE_LIFE_MS }
      // Set anew, it is the youngest in the order of the map.
      entries.delete(id)
      entries.set(id, entry)
      const oldest = entries.size > maxEntries ? entries.keys().next().value : undefined
      if (oldest !== undefined) entries.delete(oldest)
      const drop = () => entries.get(id) === entry && entries.delete(id)
      void entry.value.then((value) => value === undefined && drop(), drop)
      return entry.value
    },
    forget(id) {
      entries.delete(id)
    },
  }
}
