import type { Redis } from 'ioredis'
import type { Logger } from './logger.ts'

/** What a request may wait for Redis, once: what gives no answer in this time is left alone until it answers again. */
export const OPTIONAL_ANSWER_MS = 50
const PROBE_EVERY_MS = 500

/** A Redis that its callers go on without when it is away: it costs them nothing then but the first wait. */
export interface OptionalRedis {
  /** Undefined where Redis is away, refused, or gave no answer in time: then what was asked may have been done or not. */
  ask<T>(question: (redis: Redis) => Promise<T>): Promise<{ answer: T } | undefined>
  /** The caller of `openRedis` ends its connection. */
  close(): void
}

/**
 * `redis` gives up a command after `OPTIONAL_ANSWER_MS` and takes none while it is not connected. After a failure nobody but a
 * probe of our own asks it, so that no request pays for finding out whether it is back.
 */
export function createOptionalRedis(redis: Redis, name: string, logger: Logger): OptionalRedis {
  let isTrusted = true
  let probe: NodeJS.Timeout | undefined

  function distrust(error: unknown): void {
    if (!isTrusted) return
    isTrusted = false
    const reason = redis.status === 'ready' && error instanceof Error ? error.message : 'there is no connection'
    logger.warn(`Redis (${name}) is not asked any more: ${reason}`)
    probe = setInterval(() => void lookAgain(), PROBE_EVERY_MS).unref()
  }

  async function lookAgain(): Promise<void> {
    try {
      await redis.ping()
    } catch {
      // Still away: the next probe asks again.
      return
    }
    if (isTrusted) return
    clearInterval(probe)
    isTrusted = true
    logger.info(`Redis (${name}) is asked again`)
  }

  return {
    async ask(question) {
      if (!isTrusted) return undefined
      try {
        return { answer: await question(redis) }
      } catch (error) {
        distrust(error)
        return undefined
      }
    },
    close() {
      isTrusted = false
      clearInterval(probe)
    },
  }
}
