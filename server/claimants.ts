import type { NextFunction, Request, Response } from 'express'
import type { Claimant, LaneQueue } from '../runtime/lane-queue.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import { clientAddress } from './client-address.ts'
import { ServiceError } from './errors.ts'
import type { Passes } from './services/passes.ts'

export const PASS_HEADER = 'qflare-pass'
/** Requests of one pass at once; a device makes one after the other. Who sends more shares with those that have none. */
const AT_ONCE_OF_A_PASS = 2
const TELL_EVERY_MS = 10_000

/** Finds out whose share of the queue and of the limits a request takes: that of its pass, or that of its address. */
export function identifyClaimant(passes: Passes) {
  const underWay = new Map<string, number>()

  function leave(id: string): void {
    const left = (underWay.get(id) ?? 0) - 1
    if (left > 0) underWay.set(id, left)
    else underWay.delete(id)
  }

  return (req: Request, res: Response, next: NextFunction): void => {
    const pass = req.get(PASS_HEADER)
    const holder = pass === undefined ? undefined : passes.read(pass)
    const before = holder === undefined ? 0 : (underWay.get(holder.id) ?? 0)
    if (holder === undefined || before >= AT_ONCE_OF_A_PASS) {
      const address = clientAddress(req)
      res.locals.claimant = { lane: 'unproved', owner: address } satisfies Claimant
      res.locals.limitedAs = address
    } else {
      underWay.set(holder.id, before + 1)
      res.once('close', () => leave(holder.id))
      res.locals.claimant = { lane: 'proved', owner: holder.organizationId } satisfies Claimant
      res.locals.limitedAs = `device ${holder.id}`
    }
    next()
  }
}

export function claimantOf(res: Response): Claimant {
  return res.locals.claimant as Claimant
}

/** By which key the limit of an address counts a request: who has a pass is not turned away for what comes from next to him. */
export function limitedAs(res: Response): string {
  return res.locals.limitedAs as string
}

/**
 * Turns away what the queue would, before its body is read and without a line of the log for each: under a flood this is what nearly
 * every request costs. `path`: of the route, as it is declared.
 */
export function turnAwayWhenFull(
  { queue, metrics, logger }: { queue: LaneQueue; metrics: Metrics; logger: Logger },
  path: string,
  readInTurn: (req: Request, res: Response) => void,
) {
  let untold = 0
  let toldAt = Number.NEGATIVE_INFINITY
  return (req: Request, res: Response, next: NextFunction): void => {
    if (queue.admits(claimantOf(res))) return next()
    res.locals.route = path
    res.locals.isTurnedAway = true
    readInTurn(req, res)
    metrics.exchanges.inc({ result: 'overloaded' })
    untold++
    const now = performance.now()
    if (now >= toldAt + TELL_EVERY_MS) {
      logger.warn('requests are turned away before they are read', { route: path, count: untold })
      untold = 0
      toldAt = now
    }
    throw new ServiceError('overloaded', 'Too many exchanges are waiting; try again.')
  }
}
