import { expect, test, vi } from 'vitest'
import { runRounds } from './run-rounds.ts'

// A round is one start of PostgreSQL and a few seconds; kill-rounds.ts plays hundreds of them.
vi.setConfig({ testTimeout: 600_000 })

const ROUNDS = 20

test(`after ${ROUNDS} kills of PostgreSQL under load the log has every acknowledged change once, in one tree`, async () => {
  const report = await runRounds({ target: 'postgres', rounds: ROUNDS, deadline: Number.POSITIVE_INFINITY })
  expect(report).toMatchObject({ rounds: ROUNDS, refused: 0 })
  expect(report.acknowledged).toBeGreaterThan(ROUNDS * 5)
  expect(report.unknown).toBeGreaterThan(ROUNDS)
  expect(report.statuses).not.toHaveProperty('500')
})

test('so it has after kills of the embedded PostgreSQL, with which the service ends', async () => {
  const report = await runRounds({ target: 'embedded', rounds: 3, deadline: Number.POSITIVE_INFINITY })
  expect(report).toMatchObject({ rounds: 3, refused: 0 })
  expect(report.acknowledged).toBeGreaterThan(3)
  expect(report.statuses).not.toHaveProperty('500')
})
