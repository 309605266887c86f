import { DelayedError, type Job } from 'bullmq'
import { expect, test } from 'vitest'
import { createLogger } from '../../../runtime/logger.ts'
import { createMetrics } from '../../../runtime/metrics.ts'
import { noTracer } from '../../../runtime/tracing/tracer.ts'
import { defineJob, type JobDefinition } from '../../../workers/job.ts'
import type { WorkerParts } from '../../../workers/parts.ts'
import { GIVE_BACK_TIMES } from '../../../workers/queue-settings.ts'
import { jobs } from '../../../workers/queues.ts'
import { createJobRunner } from '../../../workers/run-job.ts'

function runnerAt(offsetMs: number, of: Record<string, JobDefinition>) {
  const clock = { now: () => 5, offsetMs: () => offsetMs }
  const logger = createLogger('silent')
  const parts = { clock, logger, metrics: createMetrics(), tracer: noTracer } as unknown as WorkerParts
  const ends: [string, string | undefined][] = []
  const runner = createJobRunner(
    parts,
    of,
    (name, error) => void ends.push([name, (error as Error | undefined)?.message]),
    { giveBackMs: 50 },
  )
  return { runner, ends }
}

test.each([-6_000, 6_000, 7_776_000_000])(
  'a job that needs the right time fails, and does nothing, while the clocks are %i ms apart',
  async (offsetMs) => {
    let runs = 0
    const of = {
      final: defineJob({ queue: 'maintenance', needsRightTime: true, run: async () => void runs++ }),
      other: defineJob({ queue: 'maintenance', run: async () => void runs++ }),
    }
    const { runner, ends } = runnerAt(offsetMs, of)
    await expect(runner.runHere('final')).rejects.toThrow('the job final waits until they do')
    expect(runs).toBe(0)
    await runner.runHere('other')
    expect(runs).toBe(1)
    expect(ends).toEqual([
      ['final', expect.stringContaining('do not agree')],
      ['other', undefined],
    ])
    await runnerAt(4_000, of).runner.runHere('final')
    expect(runs).toBe(2)
  },
)

test('every job that ends, drops, rotates, flags or tells by age needs the right time', () => {
  const needing = Object.entries(jobs).filter(([, job]) => (job as JobDefinition).needsRightTime === true)
  expect(needing.map(([name]) => name).sort()).toEqual([
    'check-collateral',
    'end-sessions',
    'flag-old-identity-keys',
    'prune-attestations',
    'prune-enrollment-tokens',
    'prune-incidents',
    'prune-revocations',
    'prune-sessions',
    'rotate-keks',
    'rotate-signing-keys',
    'tell-ending-api-tokens',
    'watch-attestations',
  ])
})

test('a job that no release has is given back so often, and then fails as any other', async () => {
  const { runner } = runnerAt(0, {})
  const delays: unknown[] = []
  const given = (attemptsStarted: number, attemptsMade: number) =>
    ({
      name: 'nobodys',
      data: {},
      attemptsStarted,
      attemptsMade,
      moveToDelayed: async (...told: unknown[]) => void delays.push(told),
    }) as unknown as Job
  const begun = Date.now()
  await expect(runner.runQueued(given(1, 0), 'token')).rejects.toThrow(DelayedError)
  await expect(runner.runQueued(given(GIVE_BACK_TIMES, 0), 'token')).rejects.toThrow(DelayedError)
  expect(delays).toEqual([1, 2].map(() => [expect.any(Number), 'token']))
  expect((delays[0] as number[])[0]).toBeGreaterThanOrEqual(begun + 50)
  for (const made of [0, 1, 4]) {
    const spent = given(GIVE_BACK_TIMES + 1 + made, made)
    await expect(runner.runQueued(spent, 'token')).rejects.toThrow('This release has no job nobodys.')
  }
  expect(delays).toHaveLength(2)
})
