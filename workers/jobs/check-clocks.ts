// Running it twice is harmless: it measures and says what it found.

import { type Clock, MAX_CLOCK_OFFSET_MS } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import type { Metrics } from '../../runtime/metrics.ts'

export interface CheckClocksParts {
  clock: Clock
  /** Of the Redis of the queues; undefined where there is none. */
  readRedisClock: (() => Promise<number>) | undefined
  logger: Logger
  metrics: Metrics
}

/** This machine's clock, and that of the Redis, beside PostgreSQL's, by which the service goes. */
export async function checkClocks({ clock, readRedisClock, logger, metrics }: CheckClocksParts): Promise<void> {
  await clock.measure()
  tell('this machine', clock.offsetMs())
  if (readRedisClock === undefined) return
  const asked = clock.now()
  const redis = await readRedisClock()
  tell('the Redis of the queues', (asked + clock.now()) / 2 - redis)

  function tell(whose: string, offset: number): void {
    const offsetMs = Math.round(offset)
    if (whose !== 'this machine') metrics.redisClockOffsetSeconds.set(offsetMs / 1_000)
    if (Math.abs(offsetMs) <= MAX_CLOCK_OFFSET_MS) return
    logger.error(`the clock of ${whose} is off the database’s: synchronize both`, { offsetMs })
  }
}
