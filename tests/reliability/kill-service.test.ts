import { expect, test, vi } from 'vitest'
import { runRounds } from './run-rounds.ts'

// A round is one start of the service and a few seconds; kill-rounds.ts plays hundreds of them.
vi.setConfig({ testTimeout: 600_000 })

const ROUNDS = 20

test(`after ${ROUNDS} kills of the service under load the log has every acknowledged change once, in one tree`, async () => {
  const report = await runRounds({ target: 'api', rounds: ROUNDS, deadline: Number.POSITIVE_INFINITY })
  expect(report).toMatchObject({ rounds: ROUNDS, refused: 0 })
  // Each kill met clients and a sequencer at work.
  expect(report.acknowledged).toBeGreaterThan(ROUNDS * 5)
  expect(report.unknown).toBeGreaterThan(ROUNDS)
  expect(Object.keys(report.moments).filter((moment) => moment !== 'idle')).not.toEqual([])
  expect(report.statuses).not.toHaveProperty('500')
})
