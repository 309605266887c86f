import { describe, expect, test, vi } from 'vitest'
import { hasDebianPostgres, startDebianPostgres } from '../support/debian-postgres.ts'
import { hasHaproxy } from '../support/haproxy.ts'
import { hasRedis } from '../support/redis.ts'
import { type RollingRestartReport, runRollingRestart } from './run-rolling-restart.ts'

// A minute for both on a quiet machine.
vi.setConfig({ testTimeout: 600_000 })

const activities = ['device 1', 'device 2', 'coordinator', 'operator', 'auditor']

/** Nobody noticed: no call of the library was rejected, and no request got another answer than its own. */
function expectUnnoticed({ rolled, done }: RollingRestartReport): void {
  expect(rolled.failures).toEqual({})
  expect(Object.keys(rolled.statuses).filter((status) => !/^2..$/.test(status))).toEqual([])
  expect(rolled.errors).toEqual([])
  expect(Object.keys(done)).toEqual(activities)
}

describe.skipIf(!hasRedis || !hasHaproxy)('two APIs behind HAProxy, two workers and two sequencers, under load', () => {
  test('are restarted one after the other, and HAProxy, unnoticed; and no restart of a store is more than a retry mends', async () => {
    const report = await runRollingRestart({
      worse: [
        (fleet) => fleet.restartPostgres('stop'),
        async ({ queues }) => {
          await queues.kill()
          await queues.restart()
        },
        async ({ temporalKeys }) => {
          await temporalKeys.kill()
          await temporalKeys.restart()
        },
      ],
    })
    expectUnnoticed(report)
    expect(report.ledger.acknowledged).toBeGreaterThan(0)
  })

  test.skipIf(!hasDebianPostgres)('on Debian’s PostgreSQL 15 too', async () => {
    const report = await runRollingRestart({
      fleet: { startPostgres: startDebianPostgres },
      worse: [(fleet) => fleet.restartPostgres('stop')],
    })
    expectUnnoticed(report)
  })
})
