export class QueueFullError extends Error {
  constructor() {
    super('The queue is full.')
    this.name = 'QueueFullError'
  }
}

/** Runs at most `concurrency` tasks at once and keeps at most `maxWaiting` waiting; more are refused with QueueFullError. */
export interface BoundedQueue {
  run<T>(task: () => Promise<T>): Promise<T>
  waiting(): number
}

export function createBoundedQueue(concurrency: number, maxWaiting: number): BoundedQueue {
  const waiters: (() => void)[] = []
  let running = 0

  function leave(): void {
    const next = waiters.shift()
    if (next === undefined) running--
    else setImmediate(next)
  }

  return {
    async run(task) {
      if (running >= concurrency) {
        if (waiters.length >= maxWaiting) throw new QueueFullError()
        await new Promise<void>((resolve) => waiters.push(resolve))
      } else {
        running++
      }
      try {
        return await task()
      } finally {
        leave()
      }
    },
    waiting: () => waiters.length,
  }
}
