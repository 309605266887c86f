import { describe, expect, test, vi } from 'vitest'
import { hasRedis } from '../support/redis.ts'
import { runFleet } from './run-fleet.ts'

// One round of every fault; fleet-rounds.ts plays more of them.
vi.setConfig({ testTimeout: 600_000 })

describe.skipIf(!hasRedis)(
  'two APIs, two workers and two sequencers on one PostgreSQL and two Redis, under load',
  () => {
    test('lose no exchange that a retry does not mend, no bucket and no event, whatever is restarted, killed or flushed', async () => {
      const report = await runFleet({ rounds: 1, deadline: Number.POSITIVE_INFINITY })
      expect(report.rounds).toBe(1)
      expect(report.exchanges).toBeGreaterThan(report.mended)
      expect(Object.keys(report.settledMs)).toHaveLength(18)
      expect(report.madeAgain).toBeGreaterThan(0)
      expect(new Set(report.sessionIds).size).toBe(report.sessionIds.length)
      expect(report.failures).not.toHaveProperty('replayed')
    })
  },
)
