import { expect, test } from 'vitest'
import { createMetrics } from '../../../runtime/metrics.ts'
import { noTracer } from '../../../runtime/tracing/tracer.ts'
import { defineJob, type JobDefinition } from '../../../workers/job.ts'
import type { WorkerParts } from '../../../workers/parts.ts'
import { jobs } from '../../../workers/queues.ts'
import { createJobRunner } from '../../../workers/run-job.ts'

function runnerAt(offsetMs: number, of: Record<string, JobDefinition>) {
  const clock = { now: () => 5, offsetMs: () => offsetMs }
  const parts = { clock, metrics: createMetrics(), tracer: noTracer } as unknown as WorkerParts
  const ends: [string, string | undefined][] = []
  const runner = createJobRunner(
    parts,
    of,
    (name, error) => void ends.push([name, (error as Error | undefined)?.message]),
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
    'prune-revocations',
    'prune-sessions',
    'rotate-keks',
    'rotate-signing-keys',
    'watch-attestations',
  ])
})
