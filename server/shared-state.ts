import type { ApiCredential } from '../database/repositories/api-tokens.ts'
import type { Logger } from '../runtime/logger.ts'
import { createOptionalRedis, OPTIONAL_ANSWER_MS } from '../runtime/optional-redis.ts'
import { isReply, openRedis } from '../runtime/redis.ts'
import { type BriefCache, createBriefCache } from './brief-cache.ts'
import { createMemoryRateLimit, type RateLimit } from './rate-limit.ts'
import { createSharedRateLimit } from './shared-rate-limit.ts'

/** What API processes share through Redis. Without one, and while it is away, each goes on by itself. */
export interface SharedState {
  createRateLimit(name: string, limit: number): RateLimit
  /** Undefined without Redis: each look-up asks the database. */
  apiTokens: BriefCache<ApiCredential> | undefined
  /** After the commit: every process forgets the token at once, those that do not hear of it within a second. */
  announceRevoked(apiTokenId: string): void
  close(): void
}

/** About a kilobyte each. */
const MAX_CACHED_TOKENS = 10_000

/** `rootKid` keeps services on one Redis apart. Starts also while Redis is away. */
export function openSharedState(url: string | undefined, rootKid: string, logger: Logger): SharedState {
  if (url === undefined) {
    return {
      createRateLimit: (_name, limit) => createMemoryRateLimit(limit),
      apiTokens: undefined,
      announceRevoked: () => {},
      close: () => {},
    }
  }
  const redis = openRedis({ url, name: 'limits', logger, answerWithinMs: OPTIONAL_ANSWER_MS })
  const shared = createOptionalRedis(redis, 'limits', logger)
  const apiTokens = createBriefCache<ApiCredential>(MAX_CACHED_TOKENS, () => performance.now())
  const channel = `qflare:${rootKid}:revoked-api-tokens`
  const news = openRedis({ url, name: 'revocations', logger })
  news.on('ready', () => {
    news.subscribe(channel).catch((error: unknown) => {
      // It breaks again, or is ready again: then it is subscribed again.
      if (!isReply(error)) return
      logger.warn(
        `Redis (revocations) refuses SUBSCRIBE: ${error.message}. A revoked API token is taken here for up to a second; allow its user` +
          ` the command and the channel: ACL SETUSER … +subscribe &${channel}`,
      )
    })
  })
  news.on('message', (_channel: string, apiTokenId: string) => apiTokens.forget(apiTokenId))

  return {
    createRateLimit: (name, limit) =>
      createSharedRateLimit(limit, { redis, shared, prefix: `qflare:${rootKid}:limit:${name}` }),
    apiTokens,
    announceRevoked(apiTokenId) {
      apiTokens.forget(apiTokenId)
      void shared.ask((asked) => asked.publish(channel, apiTokenId))
    },
    close() {
      shared.close()
      redis.disconnect()
      news.disconnect()
    },
  }
}
