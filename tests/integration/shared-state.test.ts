import { Writable } from 'node:stream'
import { expect, onTestFinished, test, vi } from 'vitest'
import { createLogger } from '../../runtime/logger.ts'
import { openSharedState } from '../../server/shared-state.ts'
import { hasRedis, startTestRedis } from '../support/redis.ts'

const WITHIN = { timeout: 10_000, interval: 20 }

test.skipIf(!hasRedis)(
  'a Redis that refuses its user the news of revoked tokens is warned of, once each time, until it allows it',
  async () => {
    const redis = await startTestRedis()
    onTestFinished(() => redis.stop())
    await redis.client.call('ACL', 'SETUSER', 'limits', 'on', '>secret', '~*', '&*', '+@all', '-subscribe')
    let said = ''
    const write = (text: unknown, _encoding: unknown, done: () => void) => {
      said += String(text)
      done()
    }
    const logger = createLogger('warn', new Writable({ decodeStrings: false, write }))
    const state = openSharedState(redis.url.replace('//', '//limits:secret@'), 'root', logger)
    onTestFinished(() => state.close())
    const warnings = () => said.split('\n').filter((line) => line.includes('refuses SUBSCRIBE'))
    const dropNews = async () => {
      for (const client of ((await redis.client.client('LIST')) as string).split('\n')) {
        const [, id] = /^id=(\d+) .*name=qflare-revocations /.exec(client) ?? []
        if (id !== undefined) await redis.client.client('KILL', 'ID', id)
      }
    }

    await vi.waitFor(() => expect(warnings()).toHaveLength(1), WITHIN)
    expect(warnings()[0]).toMatch(
      /NOPERM .* up to a second; .* ACL SETUSER … \+subscribe &qflare:root:revoked-api-tokens/,
    )
    await dropNews()
    await vi.waitFor(() => expect(warnings()).toHaveLength(2), WITHIN)

    await redis.client.call('ACL', 'SETUSER', 'limits', '+subscribe')
    await dropNews()
    await vi.waitFor(async () => expect(await redis.client.pubsub('CHANNELS', '*')).toHaveLength(1), WITHIN)
    expect(warnings()).toHaveLength(2)
  },
)
