import type { NextFunction, Request, Response } from 'express'

/** Requests of strangers in a turn of the event loop; the dearest of them that is answered at once takes half a millisecond. */
export const PER_TURN = 16

/**
 * Lets a request wait for its turn: `PER_TURN` in a turn of the event loop, the one first that has waited longest, and of a connection one
 * after another (bound-pipelining.ts). So whatever strangers send, on however many connections, leaves most of each turn to what is
 * under way for others, which needs some turns for each of its steps. Where nobody waits, nobody does.
 */
export function createTakeTurns(): (req: Request, res: Response, next: NextFunction) => void {
  // A Set, for who goes away leaves from its middle.
  const waiting = new Set<NextFunction>()
  let left = PER_TURN
  let isScheduled = false

  function turn(): void {
    isScheduled = false
    left = PER_TURN
    for (const next of waiting) {
      if (left === 0) break
      waiting.delete(next)
      run(next)
    }
  }

  function run(next: NextFunction): void {
    left--
    schedule()
    next()
  }

  function schedule(): void {
    if (isScheduled) return
    isScheduled = true
    setImmediate(turn)
  }

  return (_req, res, next) => {
    if (left > 0 && waiting.size === 0) return run(next)
    waiting.add(next)
    schedule()
    res.once('close', () => waiting.delete(next))
  }
}
