import { Redis } from 'ioredis'
import type { Logger } from './logger.ts'
import { WipingConnector } from './wiping-connector.ts'

/** A Redis that cannot be used as it is set; the message names the setting and what it has to be. */
export class RedisError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'RedisError'
  }
}

export interface RedisOptions {
  /** `redis://` or `rediss://`, with password and database where there are some. */
  url: string
  /** What it is for; shown by `CLIENT LIST` and in the log. */
  name: string
  logger: Logger
  /** Milliseconds after which a command that gets no answer is given up. Default 2,000. */
  answerWithinMs?: number
  /** True: commands wait for a Redis that is away, as queues want it. Default: they fail at once, and somebody falls back. */
  waits?: boolean
  /**
   * True: for secrets. What passes as bytes is wiped in this process, an answer in the turn after it came; and no command is sent a
   * second time when the connection is back, so that its arguments may be wiped when it has failed.
   */
  wipes?: boolean
}

const RECONNECT_MAX_MS = 2_000

/** A connection that is made again as often as it breaks, and says so once each time. The caller closes it. */
export function openRedis({
  url,
  name,
  logger,
  answerWithinMs = 2_000,
  waits = false,
  wipes = false,
}: RedisOptions): Redis {
  const redis = new Redis(url, {
    connectionName: `qflare-${name}`,
    connectTimeout: 2_000,
    retryStrategy: (attempt) => Math.min(attempt * 50, RECONNECT_MAX_MS),
    enableOfflineQueue: waits,
    maxRetriesPerRequest: waits ? null : 1,
    ...(waits ? {} : { commandTimeout: answerWithinMs }),
    ...(wipes ? { Connector: WipingConnector, protocol: 2, autoResendUnfulfilledCommands: false } : {}),
  })
  let isAway = false
  redis.on('error', (error: Error) => {
    if (!isAway) logger.warn(`Redis (${name}) is away: ${error.message}`)
    isAway = true
  })
  redis.on('ready', () => {
    if (isAway) logger.info(`Redis (${name}) is back`)
    isAway = false
  })
  return redis
}

/** Resolves when commands can be sent. Throws RedisError when that takes longer than `withinMs`. */
export async function waitForRedis(redis: Redis, name: string, withinMs = 10_000): Promise<void> {
  if (redis.status === 'ready') return
  await new Promise<void>((resolve, reject) => {
    const settle = (done: () => void) => {
      clearTimeout(timer)
      redis.off('ready', onReady)
      redis.off('error', onError)
      done()
    }
    let last = 'it does not answer'
    const onError = (error: Error) => {
      last = error.message
    }
    const onReady = () => settle(resolve)
    const timer = setTimeout(
      () => settle(() => reject(new RedisError(`Redis (${name}) cannot be reached: ${last}.`))),
      withinMs,
    )
    redis.on('ready', onReady)
    redis.on('error', onError)
  })
}

/** The value of one of its settings, as in `CONFIG GET`. Throws RedisError where it does not tell. */
export async function readRedisSetting(redis: Redis, setting: string): Promise<string> {
  try {
    const answer = (await redis.call('CONFIG', 'GET', setting)) as string[]
    const value = answer[1]
    if (value !== undefined) return value
  } catch (cause) {
    if (!isReply(cause)) throw new RedisError(`Redis does not answer: ${String(cause)}`, { cause })
    throw new RedisError(`Redis does not tell its setting ${setting}; allow CONFIG GET to this user.`, { cause })
  }
  throw new RedisError(`This Redis has no setting ${setting}.`)
}

/** An error that Redis itself answered with, and not one of the way to it. */
export function isReply(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError'
}
