import { QueueFullError } from '../../runtime/bounded-queue.ts'
import type { Claimant, LaneQueue } from '../../runtime/lane-queue.ts'
import { ServiceError } from '../errors.ts'
import type { RateLimitState } from '../rate-limit.ts'
import type { RateLimits } from '../rate-limits.ts'

/**
 * Refuses a message that is just being worked on as `replayed`, by a key of its own: until it is stored the database cannot tell
 * that it came before. One process works on a database, so that this sees every copy.
 */
export function createRunOnce() {
  const underWay = new Set<string>()
  return async <T>(key: string, work: () => Promise<T>, onReplayed: () => void): Promise<T> => {
    if (underWay.has(key)) {
      onReplayed()
      throw replayed()
    }
    underWay.add(key)
    try {
      return await work()
    } finally {
      underWay.delete(key)
    }
  }
}

/** Throws `overloaded` where the queue has no place, or the one that was waited in goes to somebody else. */
export async function runQueued<T>(queue: LaneQueue, claimant: Claimant, task: () => Promise<T>): Promise<T> {
  try {
    return await queue.run(claimant, task)
  } catch (error) {
    if (!(error instanceof QueueFullError)) throw error
    throw new ServiceError('overloaded', 'Too many such requests are waiting; try again.', { cause: error })
  }
}

export function replayed(cause?: unknown): ServiceError {
  return new ServiceError('replayed', 'This message was taken before; begin a new exchange.', { cause })
}

/**
 * Does what counts for a device and its organization once it is done, and not when it fails: a message that is refused can be sent
 * again by whoever has it, and must cost the device nothing. So as many as are under way at once may go over the limit, once.
 */
export async function runWithinLimits<T>(
  limits: RateLimits,
  { id, organizationId, isSlowed }: { id: string; organizationId: string; isSlowed: boolean },
  work: () => Promise<T>,
): Promise<{ answer: T; rateLimits: (RateLimitState | undefined)[] }> {
  await limits.check('device', id)
  if (isSlowed) await limits.check('device_slowed', id)
  await limits.check('organization', organizationId)
  const answer = await work()
  return {
    answer,
    rateLimits: [
      await limits.count('device', id),
      isSlowed ? await limits.count('device_slowed', id) : undefined,
      await limits.count('organization', organizationId),
    ],
  }
}
