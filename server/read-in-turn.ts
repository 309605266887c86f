import type { Request, Response } from 'express'

/** Of one connection a turn reads what its client has sent ahead: up to 16 requests (http.ts). */
export const PER_TURN = 8

export type ReadInTurn = (req: Pick<Request, 'socket'>, res: Response) => void

/**
 * Lets the connection of a request wait, once it is answered, for its turn to be read on: `PER_TURN` of them in a turn of the event
 * loop, the one first that has waited longest. So what is refused unread, on however many connections it comes, leaves most of each
 * turn to what is served.
 */
export function createReadInTurn(): ReadInTurn {
  const paused = new Set<Request['socket']>()
  let isScheduled = false

  function turn(): void {
    let left = PER_TURN
    for (const socket of paused) {
      if (left-- === 0) break
      paused.delete(socket)
      socket.resume()
    }
    isScheduled = paused.size > 0
    if (isScheduled) setImmediate(turn)
  }

  return ({ socket }, res) => {
    // Not before: with its answer Node reads on by itself, to the end of the body that nobody wanted. And not at the end of the turn:
    // where more than a thousand connections have something to read, Node reads all of them many times in one.
    res.once('close', () => {
      if (socket.destroyed) return
      socket.pause()
      paused.add(socket)
      if (isScheduled) return
      isScheduled = true
      setImmediate(turn)
    })
  }
}
