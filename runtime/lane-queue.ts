import type { QueueFullError } from './bounded-queue.ts'
import { createFairLane } from './fair-lane.ts'

/** Whose work it is: who has proved to be somebody is served first. */
export interface Claimant {
  lane: 'proved' | 'unproved'
  /** With others of this name he shares the places of one in his lane. */
  owner: string
}

/**
 * A bounded queue of two lanes. Neither takes the waiting places of the other, nor an owner those of another in his lane; nor does
 * the first lane, however long it is, keep the second from its turn now and then.
 */
export interface LaneQueue {
  /**
   * Whether `run` would take his work, when those have come who were told so before: for who asks before he spends anything on it.
   * Who was told and does not come keeps nobody out for longer than a moment.
   */
  admits(claimant: Claimant): boolean
  /** Rejects with QueueFullError, also when it has to give way while it waits. */
  run<T>(claimant: Claimant, task: () => Promise<T>): Promise<T>
  waiting(): number
}

/** So often the first lane goes before the second does once. */
export const PROVED_IN_A_ROW = 7
/** A body that comes with its head, as those of exchanges do, is read and parsed within this. */
export const COMES_WITHIN_MS = 50

/** `maxWaiting`: in each lane. `monotonicNow`: milliseconds since any moment. */
export function createLaneQueue(concurrency: number, maxWaiting: number, monotonicNow: () => number): LaneQueue {
  const lanes = { proved: createFairLane(maxWaiting), unproved: createFairLane(maxWaiting) }
  const told = { proved: 0, unproved: 0 }
  let forgetsAt = 0
  let running = 0
  let inARow = 0

  function leave(): void {
    const isTurnOfOthers = inARow >= PROVED_IN_A_ROW && lanes.unproved.size() > 0
    const proved = isTurnOfOthers ? undefined : lanes.proved.take()
    inARow = proved === undefined ? 0 : inARow + 1
    const next = proved ?? lanes.unproved.take()
    if (next === undefined) running--
    // Other work has its turn between two tasks.
    else setImmediate(() => next.start())
  }

  return {
    admits({ lane, owner }) {
      const now = monotonicNow()
      if (now >= forgetsAt) {
        forgetsAt = now + COMES_WITHIN_MS
        told.proved = 0
        told.unproved = 0
      }
      if (told[lane] >= concurrency - running + lanes[lane].roomFor(owner)) return false
      told[lane]++
      return true
    },
    async run({ lane, owner }, task) {
      told[lane] = Math.max(0, told[lane] - 1)
      if (running < concurrency) running++
      else {
        await new Promise<void>((resolve, reject: (error: QueueFullError) => void) =>
          lanes[lane].add(owner, { start: resolve, refuse: reject }),
        )
      }
      try {
        return await task()
      } finally {
        leave()
      }
    },
    waiting: () => lanes.proved.size() + lanes.unproved.size(),
  }
}
