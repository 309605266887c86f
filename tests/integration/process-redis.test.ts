import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { call } from '../support/api.ts'
import { hasRedis, startTestRedis } from '../support/redis.ts'
import { makeServiceFolder, readAdminToken, removeServiceFolder, spawnService } from '../support/service-process.ts'

describe.skipIf(!hasRedis)('a service with REDIS_URL', () => {
  let folder: string
  beforeAll(async () => {
    folder = await makeServiceFolder()
  })
  afterAll(() => removeServiceFolder(folder))

  test('has its queues there, gets them back after a loss, serves while it is away, and stops then too', async () => {
    const redis = await startTestRedis()
    try {
      const service = spawnService(folder, { REDIS_URL: redis.url })
      const url = await service.ready()
      const states = async () => {
        const { body } = await call({ url }, 'GET', '/v1/jobs', { token: await readAdminToken(folder) })
        return new Map((body.items as { name: string; state: string }[]).map(({ name, state }) => [name, state]))
      }
      const areWritten = () =>
        vi.waitFor(async () => expect((await states()).get('check-audit-log')).toBe('scheduled'), 15_000)
      await areWritten()
      expect(await redis.client.keys('{qflare:*}:keys:*')).not.toEqual([])
      await redis.client.flushall()
      await areWritten()
      await redis.kill()
      await vi.waitFor(async () => {
        const ready = await call({ url }, 'GET', '/ready')
        expect(ready).toMatchObject({ status: 200, body: { checks: { queues: { detail: expect.any(String) } } } })
      }, 10_000)
      service.kill('SIGTERM')
      expect(await service.ended()).toBe(0)
      expect(service.output.stderr).toBe('')
    } finally {
      await redis.stop()
    }
  })

  test('is not started with one that may throw jobs away, and says what to set', async () => {
    const redis = await startTestRedis({ 'maxmemory-policy': 'allkeys-lru' })
    try {
      const service = spawnService(folder, { REDIS_URL: redis.url })
      expect(await service.ended()).toBe(1)
      expect(service.output.stderr).toMatch(/QFLARE did not start: .*maxmemory-policy noeviction/)
      expect(service.output.stderr).not.toMatch(/\n\s+at /)
    } finally {
      await redis.stop()
    }
  })
})
