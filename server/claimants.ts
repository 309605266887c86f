import type { NextFunction, Request, Response } from 'express'
import { QueueFullError } from '../runtime/bounded-queue.ts'
import type { Claimant, LaneQueue } from '../runtime/lane-queue.ts'
import type { Logger } from '../runtime/logger.ts'
import type { Metrics } from '../runtime/metrics.ts'
import type { Authenticate } from './authenticate.ts'
import { clientAddress } from './client-address.ts'
import { ServiceError } from './errors.ts'
import type { ReadInTurn } from './read-in-turn.ts'
import type { QueueName } from './route.ts'
import type { Passes } from './services/passes.ts'

export const PASS_HEADER = 'qflare-pass'
/** What waits before anybody is known, by what it is. */
export type Lanes = Readonly<Record<QueueName, Pick<LaneQueue, 'admits' | 'run'>>>

/** Requests of one pass at once; a device makes one after the other. Who sends more shares with those that have none. */
const AT_ONCE_OF_A_PASS = 2
const TELL_EVERY_MS = 10_000

/**
 * Finds out whose share of the queues and of the limits a request takes: that of its pass, or that of its address. Who shows neither a
 * pass nor a token that is known waits for `takeTurn`.
 */
export function identifyClaimant(
  passes: Pick<Passes, 'read'>,
  judge: Authenticate['judge'],
  takeTurn: (req: Request, res: Response, next: NextFunction) => void,
) {
  const underWay = new Map<string, number>()

  function leave(id: string): void {
    const left = (underWay.get(id) ?? 0) - 1
    if (left > 0) underWay.set(id, left)
    else underWay.delete(id)
  }

  return async (req: Request, res: Response, next: NextFunction): Promise<void> => {
    res.locals.bearer = await judge(req.get('authorization'))
    const pass = req.get(PASS_HEADER)
    const holder = pass === undefined ? undefined : passes.read(pass)
    const before = holder === undefined ? 0 : (underWay.get(holder.id) ?? 0)
    if (holder === undefined || before >= AT_ONCE_OF_A_PASS) {
      const address = clientAddress(req)
      res.locals.claimant = { lane: 'unproved', owner: address } satisfies Claimant
      res.locals.limitedAs = address
      if (!isKnown(res)) return takeTurn(req, res, next)
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

/** Whether it showed a pass or a token that is known: what it costs is bounded by the limits of its device or organization. */
export function isKnown(res: Response): boolean {
  return res.locals.bearer === 'known' || claimantOf(res).lane === 'proved'
}

/** Whether its token has to be looked up before anything is known of who asks. */
export function isStranger(res: Response): boolean {
  return res.locals.bearer === 'strange'
}

/**
 * Turns away what the queue would, before its body is read and without a line of the log for each: under a flood this is what nearly
 * every request costs. `path`: of the route, as it is declared; undefined for all with a token that is strange.
 */
export function turnAwayWhenFull(
  { lanes, metrics, logger }: { lanes: Lanes; metrics: Metrics; logger: Logger },
  name: QueueName,
  path: string | undefined,
  readInTurn: ReadInTurn,
) {
  let untold = 0
  let toldAt = Number.NEGATIVE_INFINITY
  return (req: Request, res: Response, next: NextFunction): void => {
    if ((path === undefined && !isStranger(res)) || lanes[name].admits(claimantOf(res))) return next()
    res.locals.route = path
    res.locals.isTurnedAway = true
    readInTurn(req, res)
    metrics.turnedAway.inc({ queue: name })
    if (name === 'exchanges') metrics.exchanges.inc({ result: 'overloaded' })
    untold++
    const now = performance.now()
    if (now >= toldAt + TELL_EVERY_MS) {
      logger.warn('requests are turned away before they are read', {
        route: path ?? 'any, with a token',
        count: untold,
      })
      untold = 0
      toldAt = now
    }
    throw new ServiceError('overloaded', 'Too many such requests are waiting; try again.')
  }
}

/** Runs open work in its turn. Throws `overloaded` where its place goes to somebody else. */
export async function runOpenWork<T>(
  { lanes, metrics }: { lanes: Lanes; metrics: Metrics },
  res: Response,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await lanes.open_work.run(claimantOf(res), work)
  } catch (error) {
    if (!(error instanceof QueueFullError)) throw error
    metrics.turnedAway.inc({ queue: 'open_work' })
    throw new ServiceError('overloaded', 'Too many such requests are waiting; try again.', { cause: error })
  }
}
