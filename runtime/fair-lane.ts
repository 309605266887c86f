import { QueueFullError } from './bounded-queue.ts'

/** Who waits: one of the two is called, once. */
export interface Waiter {
  start(): void
  refuse(error: QueueFullError): void
}

/** Waiting places that owners share: nobody loses one to somebody who has as many. */
export interface FairLane {
  size(): number
  /** How many more of this owner it could take now. */
  roomFor(owner: string): number
  /** In a full lane the newest of the owner with most gives way to one of whom fewer wait. Throws QueueFullError. */
  add(owner: string, waiter: Waiter): void
  /** The next: owners take turns, each with the one that has waited longest. */
  take(): Waiter | undefined
}

export function createFairLane(maxWaiting: number): FairLane {
  // In the order of their turns.
  const owners = new Map<string, Waiter[]>()
  let size = 0
  let largest: string | undefined

  const countOf = (owner: string): number => owners.get(owner)?.length ?? 0

  /** Looked for when somebody asks and something has changed: under a flood most is refused, and that changes nothing. */
  function findLargest(): string {
    if (largest !== undefined) return largest
    largest = ''
    let most = 0
    for (const [owner, { length }] of owners) {
      if (length <= most) continue
      most = length
      largest = owner
    }
    return largest
  }

  function change(by: 1 | -1): void {
    size += by
    largest = undefined
  }

  /** Of equals nobody gives way: it would only be the other's turn to push. */
  const couldPush = (owner: string): number => Math.max(0, countOf(findLargest()) - 1 - countOf(owner))

  return {
    size: () => size,
    roomFor: (owner) => maxWaiting - size + couldPush(owner),

    add(owner, waiter) {
      if (size >= maxWaiting) {
        if (couldPush(owner) === 0) throw new QueueFullError()
        const displaced = owners.get(findLargest())?.pop()
        change(-1)
        displaced?.refuse(new QueueFullError())
      }
      const own = owners.get(owner)
      if (own === undefined) owners.set(owner, [waiter])
      else own.push(waiter)
      change(1)
    },

    take() {
      const [first] = owners
      if (first === undefined) return undefined
      const [owner, waiters] = first
      const waiter = waiters.shift()
      owners.delete(owner)
      if (waiters.length > 0) owners.set(owner, waiters)
      change(-1)
      return waiter
    },
  }
}
