import { DatabaseError } from './errors.ts'

/** Who takes connections before they are known to be an organization's: look-ups by an id, and the service itself. */
export const NOBODY = ''

type Start = () => void

/** The connections of a pool, which organizations share: who waits for one takes turns, and no organization has all of them. */
export interface ConnectionShares {
  /** Runs work that takes one connection. Throws `unavailable` for who waited too long for it. */
  run<T>(owner: string, work: () => Promise<T>): Promise<T>
  waiting(): number
}

/**
 * A fifth of the connections, and one at least, is for others than the organization that has most: its transactions may all wait for a
 * lock of its own, and hold what they have meanwhile. Who is nobody yet is bounded by the limits of addresses and by the queues.
 */
export function createConnectionShares(total: number, waitAtMostMs: number): ConnectionShares {
  const mostOfOne = Math.max(1, total - Math.max(1, Math.floor(total / 5)))
  const held = new Map<string, number>()
  // In the order of their turns, none without a waiter; of each, who has waited longest is the first.
  const owners = new Map<string, Set<Start>>()
  let taken = 0

  const mayTake = (owner: string): boolean => taken < total && (owner === NOBODY || (held.get(owner) ?? 0) < mostOfOne)

  function take(owner: string): void {
    taken++
    held.set(owner, (held.get(owner) ?? 0) + 1)
  }

  function leave(owner: string): void {
    taken--
    const left = (held.get(owner) ?? 0) - 1
    if (left > 0) held.set(owner, left)
    else held.delete(owner)
    for (const [next, waiters] of owners) {
      if (!mayTake(next)) continue
      const [start] = waiters as unknown as [Start]
      forget(next, start)
      if (waiters.size > 0) {
        // Behind the others.
        owners.delete(next)
        owners.set(next, waiters)
      }
      take(next)
      start()
      return
    }
  }

  function forget(owner: string, start: Start): void {
    const waiters = owners.get(owner)
    waiters?.delete(start)
    if (waiters?.size === 0) owners.delete(owner)
  }

  function wait(owner: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const start: Start = () => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(() => {
        forget(owner, start)
        reject(new DatabaseError('unavailable', 'There was no connection for too long.'))
      }, waitAtMostMs)
      const waiters = owners.get(owner) ?? new Set()
      owners.set(owner, waiters.add(start))
    })
  }

  return {
    async run(owner, work) {
      if (mayTake(owner)) take(owner)
      else await wait(owner)
      try {
        return await work()
      } finally {
        leave(owner)
      }
    },
    waiting: () => [...owners.values()].reduce((sum, { size }) => sum + size, 0),
  }
}
