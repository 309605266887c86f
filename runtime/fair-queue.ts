import { createBoundedQueue, QueueFullError } from './bounded-queue.ts'

/** A bounded queue in which no owner takes all places. What is refused is refused with QueueFullError. */
export interface FairQueue {
  run<T>(owner: string, task: () => Promise<T>): Promise<T>
}

/** `maxOfOne`: how many tasks of one owner run or wait. */
export function createFairQueue(concurrency: number, maxWaiting: number, maxOfOne: number): FairQueue {
  const queue = createBoundedQueue(concurrency, maxWaiting)
  const taken = new Map<string, number>()

  function leave(owner: string): void {
    const left = (taken.get(owner) ?? 0) - 1
    if (left > 0) taken.set(owner, left)
    else taken.delete(owner)
  }

  return {
    async run(owner, task) {
      const before = taken.get(owner) ?? 0
      if (before >= maxOfOne) throw new QueueFullError()
      taken.set(owner, before + 1)
      try {
        return await queue.run(task)
      } finally {
        leave(owner)
      }
    },
  }
}
