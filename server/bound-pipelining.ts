import type { NextFunction, Request, Response } from 'express'

/** Who sends requests and reads no answer fills our memory: so many at once per connection, and no more. */
const MAX_REQUESTS_UNDER_WAY = 16

/** One after another: an answer is made when the one before it is on its way, and not kept until then. */
export function boundPipelining() {
  /** The first of a connection is under way, the others wait for it. */
  const requests = new WeakMap<object, NextFunction[]>()
  return ({ socket }: Request, res: Response, next: NextFunction): void => {
    const ours = requests.get(socket) ?? []
    requests.set(socket, ours)
    if (ours.push(next) > MAX_REQUESTS_UNDER_WAY) {
      socket.destroy()
      return
    }
    res.on('close', () => {
      ours.shift()
      if (!socket.destroyed) ours[0]?.()
    })
    if (ours.length === 1) next()
  }
}
